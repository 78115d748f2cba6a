"""The same contract in this process, over the wire, and at any address: QDRANT_URL=http://host:6333 pytest this file.

The server of "over the wire" is a stand-in: it speaks the part of Qdrant's REST interface that is used here and lets a
store in this process answer. So what is sent, retried and authorised is tested without a server; set QDRANT_URL (and
QDRANT_API_KEY) to run the contract against a real one.
"""

import json
import os
import re
import subprocess
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import tenacity
import yaml
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from course import ROOT
from lib import indexes, matryoshka, vector_store

pytestmark = pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")  # on this machine
KEY = "a key"


class StandIn(ThreadingHTTPServer):
    """A server on a free port of this machine. `failing` holds statuses that the next requests get instead."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.store, self.lock, self.failing, self.asked = QdrantClient(":memory:"), threading.Lock(), [], []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        path = self.path.partition("?")[0]
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")
        with self.server.lock:
            self.server.asked.append((self.command, path, body))
            if path == "/":
                return self.reply(200, {"title": "stand-in", "version": "1.20.0"})
            if self.server.failing:
                return self.reply(self.server.failing.pop(0), {"status": {"error": "as asked"}})
            if self.headers.get("api-key") != KEY:
                return self.reply(401, {"status": {"error": "Must provide an API key"}})
            _, name, rest = re.fullmatch(r"/(collections)/([^/]+)(.*)", path).groups()
            try:
                result = answered(self.server.store, self.command, name, rest, body)
            except ValueError as error:
                return self.reply(404, {"status": {"error": str(error)}})
        self.reply(200, {"result": result, "status": "ok", "time": 0.0})

    def reply(self, status, content):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass

    do_GET = do_PUT = do_POST = do_DELETE = handle_any


def answered(store, command, name, rest, body):
    """What Qdrant answers to the requests that the module makes."""
    if (command, rest) == ("GET", "/exists"):
        return {"exists": store.collection_exists(name)}
    if (command, rest) == ("PUT", ""):
        sizes = {key: models.VectorParams(**value) for key, value in body["vectors"].items()}
        return store.create_collection(name, vectors_config=sizes)
    if (command, rest) == ("GET", ""):
        return store.get_collection(name).model_dump(mode="json")
    if (command, rest) == ("DELETE", ""):
        return store.delete_collection(name)
    if (command, rest) == ("PUT", "/points"):
        return store.upsert(name, models.Batch(**body["batch"])).model_dump(mode="json")
    if (command, rest) == ("POST", "/points"):
        return [each.model_dump(mode="json") for each in store.retrieve(name, body["ids"], with_vectors=False)]
    if (command, rest) == ("POST", "/points/count"):
        return {"count": store.count(name).count}
    if (command, rest) == ("POST", "/points/query/batch"):
        requests = [models.QueryRequest(**each) for each in body["searches"]]
        return [each.model_dump(mode="json") for each in store.query_batch_points(name, requests)]
    raise ValueError(f"the stand-in does not know {command} {rest}")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("QDRANT_API_KEY", KEY)
    with StandIn() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(params=["in this process", "over the wire", "at QDRANT_URL"])
def client(request, monkeypatch):
    address = os.environ.get("QDRANT_URL")
    if request.param == "at QDRANT_URL" and not address:
        pytest.skip("QDRANT_URL is not set: no server to run the contract against")
    monkeypatch.delenv("QDRANT_URL", raising=False)
    if request.param == "over the wire":
        return vector_store.connect(request.getfixturevalue("server").url)
    return vector_store.connect(address if request.param == "at QDRANT_URL" else None)


@pytest.fixture
def name(client):
    """Of a collection that is removed afterwards."""
    chosen = f"course-test-{uuid.uuid4().hex[:12]}"
    yield chosen
    client.delete_collection(chosen)


def nested(seed, n, d=32):
    """Rows whose spread falls from the first coordinate to the last, as those of a nested embedding do."""
    return (np.random.default_rng(seed).normal(size=(n, d)) / np.sqrt(1 + np.arange(d))).astype(np.float32)


GALLERY, QUERIES = nested(0, 1500), nested(1, 40)


# ---------------------------------------------------------------------------------------------- the contract


def test_answers_are_those_of_faiss(client, name, monkeypatch):
    monkeypatch.setattr(vector_store, "REQUEST_NUMBERS", 400 * (8 + 32))  # four requests for the gallery
    vector_store.create(client, name, first_d=8, width=32, n_shards=2)
    assert vector_store.upload(client, name, GALLERY) == 1500
    distances, neighbours = vector_store.search(client, name, QUERIES, shortlist=60, k=10)
    expected, exact = matryoshka.shortlist_and_rerank(GALLERY, QUERIES, shortlist_d=8, shortlist=60, k=10)
    assert indexes.recall_of_neighbours(neighbours, exact).mean() >= 0.99
    assert (distances.dtype, distances.shape, neighbours.dtype) == (np.float32, (40, 10), np.int64)
    same = neighbours == exact
    assert_allclose(distances[same], expected[same], atol=1e-5)
    assert (np.diff(distances, axis=1) >= 0).all()


def test_an_upload_that_was_killed_goes_on_and_what_is_there_is_not_sent_again(client, name, monkeypatch):
    monkeypatch.setattr(vector_store, "REQUEST_NUMBERS", 100 * (8 + 32))
    vector_store.create(client, name, first_d=8, width=32)
    upsert, n_calls = client.upsert, []

    def dies_in_the_third_request(*arguments, **named):
        n_calls.append(1)
        if len(n_calls) == 3:
            raise KeyboardInterrupt
        return upsert(*arguments, **named)

    monkeypatch.setattr(client, "upsert", dies_in_the_third_request)
    with pytest.raises(KeyboardInterrupt):
        vector_store.upload(client, name, GALLERY[:500])
    monkeypatch.setattr(client, "upsert", upsert)
    assert client.count(name).count == 200
    assert vector_store.upload(client, name, GALLERY[:500]) == 300
    assert vector_store.upload(client, name, GALLERY[:500]) == 0
    changed = GALLERY[:500].copy()
    changed[[7, 450]] *= [[1], [-1]]
    changed[7, 0] += 1
    assert vector_store.upload(client, name, changed) == 2
    assert vector_store.search(client, name, changed[[7, 450]], shortlist=10, k=1)[1].tolist() == [[7], [450]]


def test_machines_can_upload_a_part_each(client, name):
    for _ in range(2):  # each makes the collection if it is not there
        vector_store.create(client, name, first_d=8, width=32)
    assert vector_store.upload(client, name, GALLERY[200:300], start=200) == 100
    assert vector_store.upload(client, name, GALLERY[:200]) == 200
    found = vector_store.search(client, name, GALLERY[[3, 250]], shortlist=5, k=1)[1]
    assert found.tolist() == [[3], [250]]


def test_ties_go_by_lower_row(client, name):
    rows = np.repeat(np.eye(4, dtype=np.float32), 3, axis=0)
    vector_store.create(client, name, first_d=4, width=4)
    vector_store.upload(client, name, rows)
    distances, neighbours = vector_store.search(client, name, rows[:1], shortlist=12, k=3)
    assert neighbours.tolist() == [[0, 1, 2]]
    assert_allclose(distances, 0, atol=1e-6)


def test_no_rows_and_no_queries(client, name):
    vector_store.create(client, name, first_d=8, width=32)
    assert vector_store.upload(client, name, GALLERY[:0]) == 0
    distances, neighbours = vector_store.search(client, name, QUERIES[:0], shortlist=5, k=3)
    assert distances.shape == neighbours.shape == (0, 3)


def test_bad_input_is_refused(client, name):
    with pytest.raises(ValueError, match="first_d must be at most 4, the width of a row, got 5"):
        vector_store.create(client, name, first_d=5, width=4)
    for key in ("first_d", "width", "n_shards", "n_replicas"):
        with pytest.raises(ValueError, match=f"{key} must be a positive integer, got 0"):
            vector_store.create(client, name, **{"first_d": 2, "width": 4} | {key: 0})
    vector_store.create(client, name, first_d=2, width=4)
    with pytest.raises(ValueError, match=r"expected 'course-test-\w+' of \(3, 4\) dimensions, it has \(2, 4\)"):
        vector_store.create(client, name, first_d=3, width=4)
    for rows, message in (
        ([[1, 2, 3, np.nan]], "embeddings from row 0 has 1 of 1 rows with NaN"),
        ([[0, 0, 3, 4]], "first coordinates of embeddings from row 0 has 1 of 1 rows of zeros"),
        ([[1, 2, 3]], "of 4 dimensions, as the gallery's, got 3"),
    ):
        with pytest.raises(ValueError, match=message):
            vector_store.upload(client, name, np.array(rows, dtype=np.float32))
    vector_store.upload(client, name, np.eye(4, dtype=np.float32) + 1)
    query = np.ones((1, 4), dtype=np.float32)
    with pytest.raises(ValueError, match="k must be at most 2, the rows of the shortlist, got 3"):
        vector_store.search(client, name, query, shortlist=2, k=3)
    with pytest.raises(ValueError, match="shortlist must be a positive integer, got 0"):
        vector_store.search(client, name, query, shortlist=0, k=1)
    with pytest.raises(RuntimeError, match="expected 5 answers to query 0, got 4"):
        vector_store.search(client, name, query, shortlist=9, k=5)


# ------------------------------------------------------------------------------------------- over the wire


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(vector_store._insist, "wait", tenacity.wait_none())


@pytest.fixture
def remote(server, no_pause):
    return vector_store.connect(server.url)


def test_a_server_that_fails_for_a_while_is_asked_again(server, remote):
    vector_store.create(remote, "shop", first_d=8, width=32)
    server.failing[:] = [503, 502, 429, 500]
    assert vector_store.upload(remote, "shop", GALLERY[:50]) == 50
    server.failing[:] = [503] * 5
    assert vector_store.search(remote, "shop", GALLERY[:1], shortlist=5, k=1)[1].tolist() == [[0]]


def test_a_server_that_stays_away_is_given_up_after_six_times(server, remote):
    server.failing[:] = [503] * 20
    with pytest.raises(UnexpectedResponse, match="503"):
        vector_store.create(remote, "shop", first_d=8, width=32)
    assert len(server.failing) == 20 - 6


def test_a_wrong_request_is_not_sent_again(server, remote, monkeypatch):
    monkeypatch.setenv("QDRANT_API_KEY", "another key")
    n_before = len(server.asked)
    with pytest.raises(UnexpectedResponse, match="401"):
        vector_store.create(vector_store.connect(server.url), "shop", first_d=8, width=32)
    assert [path for _, path, _ in server.asked[n_before:] if path != "/"] == ["/collections/shop/exists"]


@pytest.mark.filterwarnings("ignore:Failed to obtain server version")
def test_no_server_at_all_is_said(no_pause):
    with StandIn() as closed:
        url = closed.url
    with pytest.raises(ResponseHandlingException, match="refused"):
        vector_store.create(vector_store.connect(url), "shop", first_d=8, width=32)


def test_the_pauses_of_six_attempts_come_to_half_a_minute():
    waited = [vector_store._insist.wait(type("State", (), {"attempt_number": n})) for n in range(1, 6)]
    assert sum(waited) == 1 + 2 + 4 + 8 + 16


def test_shards_and_replicas_are_settled_when_the_collection_is_made(server, remote):
    vector_store.create(remote, "shop", first_d=8, width=32, n_shards=6, n_replicas=3)
    (body,) = [body for command, path, body in server.asked if (command, path) == ("PUT", "/collections/shop")]
    assert (body["shard_number"], body["replication_factor"], body["write_consistency_factor"]) == (6, 3, 2)
    assert body["vectors"]["first"]["size"] == 8 and "hnsw_config" not in body["vectors"]["first"]
    assert body["vectors"]["all"]["on_disk"] and body["vectors"]["all"]["hnsw_config"]["m"] == 0


def test_a_search_is_one_request_that_shortlists_by_the_first_coordinates(server, remote):
    vector_store.create(remote, "shop", first_d=8, width=32)
    vector_store.upload(remote, "shop", GALLERY[:20])
    vector_store.search(remote, "shop", QUERIES[:3], shortlist=7, k=2)
    (body,) = [body for _, path, body in server.asked if path.endswith("query/batch")]
    for sent, query in zip(body["searches"], QUERIES[:3], strict=True):
        assert (sent["using"], sent["limit"], sent["prefetch"]["using"], sent["prefetch"]["limit"]) == (
            "all", 2, "first", 7,
        )  # fmt: skip
        assert_array_equal(np.float32(sent["query"]["nearest"]), query)
        assert_array_equal(np.float32(sent["prefetch"]["query"]), query[:8])


# ---------------------------------------------------------------------------------------- where it runs


def test_without_an_address_rows_are_in_memory_or_in_a_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("QDRANT_URL", raising=False)
    for _ in range(2):
        client = vector_store.connect(folder=tmp_path)
        vector_store.create(client, "shop", first_d=8, width=32)
        n_sent = vector_store.upload(client, "shop", GALLERY[:10])
        client.close()
    assert n_sent == 0  # found in the folder
    assert not vector_store.connect().collection_exists("shop")


def test_the_address_comes_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("QDRANT_URL", server.url)
    assert not vector_store.connect().collection_exists("shop")
    assert server.asked[-1][1] == "/collections/shop/exists"


def test_the_compose_file_makes_a_cluster_of_three():
    page = yaml.safe_load((ROOT / "docs" / "qdrant-cluster.yml").read_text(encoding="utf-8"))
    first, *others = page["services"].values()
    assert len(others) == 2 and len({each["image"] for each in page["services"].values()}) == 1
    (client,) = re.findall(r"^qdrant-client==(\d+\.\d+)\.", (ROOT / "constraints.txt").read_text(), re.M)
    assert re.fullmatch(rf"qdrant/qdrant:v{re.escape(client)}\.\d+", first["image"])  # of the client's version
    volumes = [each["volumes"][0] for each in page["services"].values()]
    assert len(set(volumes)) == 3 and {volume.partition(":")[0] for volume in volumes} == set(page["volumes"])
    for name, service in page["services"].items():
        environment = service["environment"]
        assert environment["QDRANT__CLUSTER__ENABLED"] == "true"
        assert environment["QDRANT__SERVICE__API_KEY"].startswith("${QDRANT_API_KEY:?")  # no cluster without a key
        assert f"--uri http://{name}:6335" in service["command"]
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
    head = next(iter(page["services"]))
    assert "--bootstrap" not in first["command"]
    assert all(f"--bootstrap http://{head}:6335" in each["command"] for each in others)
    assert all(head in each["depends_on"] for each in others)


# ---------------------------------------------------------------------------------------------- README's examples


def block(beginning):
    """The block of Python in README that begins with these words."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    return next(each for each in blocks if each.startswith(beginning))


def test_the_lines_of_readme_store_and_search(monkeypatch):
    monkeypatch.delenv("QDRANT_URL", raising=False)
    rows = nested(2, 500, d=1280)
    names = {"embeddings": rows, "queries": rows[:3]}
    exec(block("from lib import vector_store"), names)
    assert names["neighbours"].shape == (3, 20) and names["neighbours"][:, 0].tolist() == [0, 1, 2]


@pytest.mark.slow
def test_the_script_of_readme_embeds_a_folder_and_stores_it_in_parts(server, tmp_path, no_pause):
    for i in range(5):
        Image.effect_noise((60, 60), 20 * i).convert("RGB").save(tmp_path / f"{i}.png")
    (tmp_path / "embed_photos.py").write_text(block("# embed_photos.py"))
    client = vector_store.connect(server.url)
    vector_store.create(client, "photos", first_d=64, width=1280)
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", tmp_path / "embed_photos.py", tmp_path]
    environment = os.environ | {"QDRANT_URL": server.url, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *command], check=True, env=environment, timeout=300, capture_output=True)
    assert sorted(point.id for point in client.retrieve("photos", list(range(9)))) == [0, 1, 2, 3, 4]
