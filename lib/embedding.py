"""Images through a network, a batch at a time: preprocessing, precision, and convolutions fused for the CPU.

On a CPU, `embed` computes with the fused network where there is one, else with the network as it is. The weights are
folded anew at every call, so that a network in training is never embedded with the weights that it had.

Needs numpy, torch, torchvision, tqdm. Copy this file alone.
"""

import ctypes
import itertools
import operator
import os
import platform
import sys
import threading
import weakref
from dataclasses import dataclass

import numpy as np

if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
    # Threads that wait for others sleep soon instead of spinning at full load, which would take the core from whoever
    # they wait for. Read when torch is loaded: see benchmarks/test_bench_waiting.py.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.transforms import v2
from tqdm.auto import tqdm

PRECISIONS = ("auto", "float32", "bfloat16")
PIXELS_AT_ONCE = 400_000  # on a CPU: 8 images of 224 x 224, whose maps fit into its cache


def let_waiting_threads_sleep():
    """What GOMP_SPINCOUNT does, for a torch that is loaded already; on Linux, once a process. Was it done?

    GNU's OpenMP spins a hundred times only, not 300,000 times, as soon as it manages more threads than there are cores.
    So a thread of ours starts one more than that, which find nothing to do, and parks. They sleep from then on.
    """
    if sys.platform != "linux" or _PARKED:
        return bool(_PARKED)
    with open("/proc/self/maps") as maps:
        loaded = {line.split(maxsplit=5)[5].strip() for line in maps if "libgomp" in line}  # a path may have spaces
    if len(loaded) != 1:  # torch without it, or two of them: the one that torch uses is not known
        return False
    openmp, started = ctypes.CDLL(loaded.pop()), threading.Event()
    nothing = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)  # of a null pointer

    def start_and_park():
        n_threads = len(os.sched_getaffinity(0)) + 1
        openmp.GOMP_parallel(nothing, None, ctypes.c_uint(n_threads), ctypes.c_uint(0))
        started.set()
        threading.Event().wait()

    _PARKED.append(threading.Thread(target=start_and_park, name="waiting threads sleep", daemon=True))
    _PARKED[0].start()
    return started.wait(timeout=10)


_PARKED = []
if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():  # torch came first
    let_waiting_threads_sleep()


@dataclass(frozen=True)
class Preprocess:
    """The shorter side to `resize`, the central `crop` x `crop`, to [0, 1], less mean, by std: float32 (n, 3, h, w)."""

    resize: int
    crop: int
    mean: tuple
    std: tuple
    interpolation: str = "bilinear"  # antialiased, on uint8

    def __call__(self, images, device=None):
        images = _checked(images)
        if len({image.shape for image in images}) == 1:
            squares = self._squares(np.stack(images), device)
        else:
            squares = torch.cat([self._squares(image[None], device) for image in images])
        return v2.functional.normalize(v2.functional.to_dtype(squares, torch.float32, scale=True), self.mean, self.std)

    def _squares(self, batch, device):  # uint8 (n, 3, crop, crop)
        batch = torch.from_numpy(np.array(batch)).to(device).permute(0, 3, 1, 2)
        batch = v2.functional.resize(batch, [self.resize], v2.InterpolationMode(self.interpolation), antialias=True)
        return v2.functional.center_crop(batch, [self.crop, self.crop])


@dataclass(frozen=True)
class DetectorPreprocess:
    """Each image in [0, 1] at its own size: the detector itself scales the shorter side to `shorter_side`."""

    shorter_side: int

    def __call__(self, images, device=None):
        tensors = [torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in _checked(images)]
        return [v2.functional.to_dtype(tensor.to(device), torch.float32, scale=True) for tensor in tensors]


def _checked(images, first=0):
    """The images, if every one is uint8 (h, w, 3) with a pixel in it; they are numbered from `first` in the error."""
    for number, image in enumerate(images, first):
        dtype, shape = getattr(image, "dtype", type(image).__name__), np.shape(image)
        if dtype != np.uint8 or len(shape) != 3 or shape[-1] != 3 or 0 in shape:
            raise ValueError(f"expected images uint8 (h, w, 3), RGB; image {number} is {dtype} {shape}")
    return images


def _batches(images, batch_size):
    """Lists or arrays of at most batch_size images, each checked."""
    if isinstance(images, np.ndarray) and images.ndim != 4:
        raise ValueError(f"expected images uint8 (n, h, w, 3), RGB, got {images.dtype} {images.shape}")
    if hasattr(images, "image") and hasattr(images, "__len__"):  # a collection
        images = map(images.image, range(len(images)))
    singles = itertools.chain.from_iterable(item if np.ndim(item) == 4 else [item] for item in images)
    start = 0
    while batch := list(itertools.islice(singles, batch_size)):
        yield _checked(batch, start)
        start += len(batch)


def embed(backbone, images, batch_size=64, progress=True, precision="auto"):
    """Embeddings float32 (n, d), C-contiguous, of all images, a batch at a time.

    backbone    has `model` (preprocessed images -> (n, d)), `preprocess` and `name`: what backbones.load returns
    images      uint8 (n, h, w, 3), RGB; or a collection (with `.image(i)` and a length); or any iterable of images
                uint8 (h, w, 3) and batches uint8 (m, h, w, 3), mixed sizes too: a generator keeps memory bounded
    batch_size  images held in memory at a time, besides what `images` itself holds
    progress    a bar, in a terminal and in Jupyter
    precision   "float32", "bfloat16" (cosine to float32 0.997 to 0.9999, by the network), or "auto": bfloat16 where it
                is faster, on a GPU and on a CPU with AMX or AVX-512 BF16, else float32. Detectors compute in float32

    The model computes where it is and is left as it was. ValueError for no image at all, a wrong shape or type (which
    image), and for embeddings that are not finite (which rows).
    >>> from types import SimpleNamespace
    >>> mean = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    >>> backbone = SimpleNamespace(name="mean", model=mean, preprocess=Preprocess(8, 8, (0.5,) * 3, (0.5,) * 3))
    >>> embed(backbone, np.zeros((3, 10, 12, 3), np.uint8), batch_size=2).shape
    (3, 2)
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be a positive integer, got {batch_size!r}")
    shown = progress and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    shown = shown and os.environ.get("TQDM_DISABLE", "0") in ("", "0")  # tqdm's bar for notebooks does not read it
    total = len(images) if hasattr(images, "__len__") else None
    rows, n_done, forward = [], 0, _forward(backbone, precision)
    with tqdm(total=total, desc=f"embed with {backbone.name}", unit="image", leave=False, disable=not shown) as bar:
        for batch in _batches(images, batch_size):
            embeddings = np.ascontiguousarray(forward(batch), dtype=np.float32)
            broken = n_done + np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
            if broken.size:
                some = ", ".join(map(str, broken[:10])) + (", ..." if broken.size > 10 else "")
                raise ValueError(f"{backbone.name} gave NaN or infinite values for {broken.size} images: rows {some}")
            rows.append(embeddings)
            n_done += len(batch)
            bar.update(len(batch))
    if not rows:
        raise ValueError("expected at least one image, got none")
    return np.concatenate(rows)


def _forward(backbone, precision):
    model = backbone.model
    device = next(model.parameters()).device
    if precision == "bfloat16" and isinstance(backbone.preprocess, DetectorPreprocess):
        raise ValueError(f"{backbone.name} is computed in float32 only: boxes need more than 8 bits")
    half = precision_of(backbone, precision) == "bfloat16"
    ready = []  # the fused network, from the first batch on: without an image nothing is built

    def forward(batch):
        was_training = [module for module in model.modules() if module.training]
        model.eval()
        try:
            inputs = backbone.preprocess(batch, device)
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
                if not ready:
                    found = fused(model, inputs, "bfloat16" if half else "float32") if device.type == "cpu" else None
                    ready.append(model if found is None else found)
                is_one = device.type != "cpu" or not isinstance(inputs, torch.Tensor)
                parts = [inputs] if is_one else inputs.split(max(1, PIXELS_AT_ONCE // inputs[0, 0].numel()))
                return torch.cat([ready[0](part) for part in parts]).float().cpu().numpy()
        finally:
            for module in was_training:
                module.training = True

    return forward


def precision_of(backbone, asked="auto"):
    """What `embed` computes in when asked for "auto", or for one by its name."""
    if isinstance(backbone.preprocess, DetectorPreprocess):
        return "float32"
    if asked != "auto":
        return asked
    device = next(backbone.model.parameters()).device
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return "bfloat16" if able.get("amx_bf16") or able.get("avx512_bf16") else "float32"
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if able else "float32"


_TRACED = weakref.WeakKeyDictionary()  # model -> (its modules when it was traced, the fused network or None)


def fused(model, images, precision="float32"):
    """The model, in evaluation mode, with batch norms folded into the convolutions before them, and with activations
    and sums computed by these convolutions (oneDNN), in float32 or bfloat16; None where that cannot be done.

    It can where there are x86 and oneDNN, no module with a hook, a model that torch.fx can follow, and the same result,
    up to the rounding of float32, for the first two of `images` (as the model takes them; seen once a model).
    The fused network shares the modules that it does not fuse. It is not for training: its weights are copies of those
    that the model has now. In bfloat16 call it under torch.autocast.
    """
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():
        return None
    if precision == "bfloat16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    modules = list(model.modules())
    if any(module._forward_hooks or module._forward_pre_hooks for module in modules):
        return None  # which a traced network would not call
    if any(tensor.device.type != "cpu" for tensor in itertools.chain(model.parameters(), model.buffers())):
        return None
    before, network = _TRACED.get(model, ([], None))
    if [id(module) for module in before] != [id(module) for module in modules[1:]]:
        network = _with_fused_convolutions(model)
        if network is not None and not _same_embeddings(_folded(network, torch.float32), model, images[:2]):
            network = None
        _TRACED[model] = (modules[1:], network)  # not the model itself, which would then live for ever
    return None if network is None else _folded(network, getattr(torch, precision))


def _folded(network, dtype):
    for module in network.modules():
        if isinstance(module, _Convolution):
            module.fold(dtype)
    return network


def _same_embeddings(network, model, images):
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        expected, found = model(images), network(images)
    return found.shape == expected.shape and bool((found - expected).abs().max() <= 1e-3 * expected.abs().max())


class _Tracer(fx.Tracer):
    """Looks into modules that have convolutions in them, and takes all others as they are."""

    def is_leaf_module(self, module, name):
        return isinstance(module, nn.Conv2d) or not any(isinstance(each, nn.Conv2d) for each in module.modules())


class _Convolution(nn.Module):
    """A convolution, its batch norm, what is added to it, and its activation, in one operation of oneDNN."""

    def __init__(self, convolution, norm, activation):
        super().__init__()
        self.sources = (convolution, norm)  # in a tuple: no submodules of this one
        self.attribute, self.scalars = activation
        self.same = type(convolution).__name__ == "Conv2dSame"
        self.padding = [0, 0] if self.same else list(convolution.padding)
        self.stride, self.dilation = list(convolution.stride), list(convolution.dilation)
        self.kernel, self.groups = list(convolution.kernel_size), convolution.groups

    def fold(self, dtype):
        convolution, norm = self.sources
        weight, bias = convolution.weight.detach(), convolution.bias
        if norm is not None:
            folded = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
            weight, bias = fuse_conv_bn_weights(convolution.weight, bias, *folded)
        bias = torch.zeros(len(weight)) if bias is None else bias
        self.folded_weight = weight.detach().to(dtype, copy=True, memory_format=torch.channels_last)
        self.folded_bias = bias.detach().to(dtype, copy=True)

    def forward(self, images, added=None):
        images = images.to(self.folded_weight.dtype)
        if self.same:
            images = self._padded(images)
        operands = (self.folded_weight, self.folded_bias, self.padding, self.stride, self.dilation, self.groups)
        if added is None:
            return torch.ops.mkldnn._convolution_pointwise(images, *operands, self.attribute, self.scalars, "")
        if added.shape[2:] != self._size_after(images):  # one value a channel, added to a map or the other way round
            alone = torch.ops.mkldnn._convolution_pointwise(images, *operands, "none", [], "")
            return (alone + added).relu_() if self.attribute == "relu" else alone + added
        activation = (None, [], None) if self.attribute == "none" else (self.attribute, self.scalars, "")
        added = added.to(images.dtype).contiguous(memory_format=torch.channels_last)
        return torch.ops.mkldnn._convolution_pointwise.binary(images, added, *operands, "add", 1.0, *activation)

    def _size_after(self, images):
        each = zip(images.shape[2:], self.padding, self.kernel, self.stride, self.dilation, strict=True)
        return torch.Size((side + 2 * pad - d * (k - 1) - 1) // stride + 1 for side, pad, k, stride, d in each)

    def _padded(self, images):
        """As TensorFlow pads: as much as the stride needs, the odd pixel at the end."""
        each = zip(images.shape[2:], self.kernel, self.stride, self.dilation, strict=True)
        needed = [max((-(-side // stride) - 1) * stride + (k - 1) * d + 1 - side, 0) for side, k, stride, d in each]
        top, left = (total // 2 for total in needed)
        return nn.functional.pad(images, (left, needed[1] - left, top, needed[0] - top))


def _with_fused_convolutions(model):
    """The network to fold weights into; None where torch.fx cannot follow the model."""
    try:
        network = fx.GraphModule(model, _Tracer().trace(model))
    except Exception:  # whatever the code of a network does that is given a stand-in for images; detectors for one
        return None
    modules = dict(network.named_modules())
    for node in list(network.graph.nodes):
        if node.op == "call_module" and isinstance(modules[node.target], nn.Identity | nn.Dropout):
            node.replace_all_uses_with(node.args[0])
            network.graph.erase_node(node)
    place = {node: position for position, node in enumerate(network.graph.nodes)}
    for node in list(network.graph.nodes):
        if node.op == "call_module" and _can_be_fused(modules[node.target]) and len(node.args) == 1:
            _fuse_from(node, network, modules, place)
    network.graph.eliminate_dead_code()
    network.delete_all_unused_submodules()
    network.recompile()
    return network.eval()


def _can_be_fused(module):
    is_known = type(module) is nn.Conv2d or type(module).__name__ == "Conv2dSame"
    return is_known and module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _fuse_from(node, network, modules, place):
    """Replace a convolution, and what follows it alone, by one module."""
    norm, added, activation, last = None, None, ("none", []), node
    follower = _only_follower(last)
    if _is_norm(follower, modules):
        norm, last = modules[follower.target], follower
        activation = _activation(getattr(norm, "act", None))  # timm's batch norms have their activation in them
        follower = _only_follower(last)
    if activation[0] == "none" and follower is not None:
        if follower.op == "call_function" and follower.target in (operator.add, operator.iadd, torch.add):
            added = next((term for term in follower.args if term is not last), None)
            is_map = isinstance(added, fx.Node) and added.op in ("call_module", "call_function")  # or a sum of maps
            if is_map and place[added] < place[node] and len(follower.args) == 2 and not follower.kwargs:
                last, follower = follower, _only_follower(follower)
            else:
                added, follower = None, None
        if follower is not None and follower.op == "call_module":
            next_activation = _activation(modules[follower.target])
            if next_activation and (added is None or next_activation[0] in ("none", "relu")):  # all that sums allow
                activation, last = next_activation, follower
    name = f"convolution_{place[node]}"
    network.add_submodule(name, _Convolution(modules[node.target], norm, activation))
    with network.graph.inserting_before(node):
        one = network.graph.call_module(name, (node.args[0],) if added is None else (node.args[0], added))
    place[one] = place[node]
    last.replace_all_uses_with(one)
    while last is not node:  # from the end, so that nothing that is erased has a user
        before = next(term for term in last.args if isinstance(term, fx.Node) and term is not added)
        network.graph.erase_node(last)
        last = before
    network.graph.erase_node(node)


def _only_follower(node):
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_norm(node, modules):
    if node is None or node.op != "call_module" or not isinstance(modules[node.target], nn.BatchNorm2d):
        return False
    norm = modules[node.target]
    of_timm = type(norm).__name__ == "BatchNormAct2d" and isinstance(norm.drop, nn.Identity)
    plain = type(norm) is nn.BatchNorm2d or of_timm
    return plain and norm.track_running_stats and _activation(getattr(norm, "act", None)) is not None


def _activation(module):
    """What oneDNN calls it, and its numbers; None for one that is not computed there."""
    if module is None or isinstance(module, nn.Identity):
        return "none", []
    known = {nn.ReLU: ("relu", []), nn.ReLU6: ("hardtanh", [0.0, 6.0]), nn.SiLU: ("swish", [])}
    return known.get(type(module))
