"""Pretrained networks as embedders: name -> network, preprocessing and dimension, together.

The embedding is the input of the network's classifier, or the output of any named layer, pooled. Names are
torchvision's ("resnet50", all of `names()`), Keras's with a prefix ("keras:MobileNetV2"), torchvision's detectors for
features of regions ("fasterrcnn_resnet50_fpn"), and "course": the small network of this project, whose weights come
with it in `data/backbones`.

Where weights come from: "default" looks for `<name>.pth` or `<name>.safetensors` in the folders of $RETRIEVAL_WEIGHTS,
then for torchvision's own checkpoint in torch hub's cache, then downloads it, checked by the digest in its name. A path
is a file; "none" is an untrained network, the control. What is not there is an error (`MissingWeights`) that says what
was looked for, where, and how to get it: an untrained network never stands in for it.

Contents: `load`, `embed`, `region_features`, `names`, `layer_names`.
Needs: numpy, torch, torchvision, safetensors, tqdm; keras only for names with its prefix. Copy this file alone.
"""

import difflib
import hashlib
import importlib.util
import itertools
import json
import os
import pickle
import random
import re
import sys
import urllib.request
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

if "tensorflow" in sys.modules and "triton" not in sys.modules and importlib.util.find_spec("triton"):
    # Both bring an LLVM of their own; loaded in this order, the second aborts the whole process.
    raise ImportError("torch cannot be loaded after TensorFlow: import this module before keras and tensorflow")

import safetensors.torch
import torch
from torch import nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names
from torchvision.transforms import v2
from tqdm.auto import tqdm

__all__ = ["Backbone", "MissingWeights", "embed", "layer_names", "load", "names", "region_features"]

POOLINGS = ("average", "max", "gem", "class_token")
GEM_POWER = 3.0  # where Radenovic et al. (2018) start; 1 would be the average, infinity the maximum
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # second classifiers of googlenet and inception_v3, for training only
KERAS_SIZES = {  # the image sizes that these were trained at; all others 224
    **dict.fromkeys(("InceptionV3", "InceptionResNetV2", "Xception"), 299),
    **{"EfficientNetB1": 240, "EfficientNetB2": 260, "EfficientNetB3": 300, "EfficientNetB4": 380},
    **{"EfficientNetB5": 456, "EfficientNetB6": 528, "EfficientNetB7": 600, "NASNetLarge": 331},
    **{"EfficientNetV2B1": 240, "EfficientNetV2B2": 260, "EfficientNetV2B3": 300},
    **{"EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480},
}


class MissingWeights(FileNotFoundError):
    """Weights that are not on this machine and could not be fetched."""


@dataclass(frozen=True, eq=False)
class Backbone:
    """What `load` returns.

    name        as it was asked for
    model       the network up to the embedding: preprocessed images -> (n, dimension). A torch module in evaluation
                mode, ready for fine-tuning: nn.Sequential(backbone.model, nn.Linear(backbone.dimension, n_classes))
    preprocess  images uint8 (n, h, w, 3), or a list of uint8 (h, w, 3) of any sizes -> what `model` takes
    dimension   of an embedding
    layer, pooling   as asked for; None and None: the input of the classifier
    source      where the weights came from: a path, or "none"
    """

    name: str
    model: object
    preprocess: object
    dimension: int
    layer: str | None
    pooling: str | None
    source: str

    @property
    def n_parameters(self):
        """How many numbers were learned, the classifier's left out."""
        weights = self.model.parameters() if isinstance(self.model, nn.Module) else self.model.trainable_weights
        return sum(int(np.prod(weight.shape)) for weight in weights)

    @property
    def weights_digest(self):
        """SHA-256 (hex) of the weights as they are now: it changes when the model is fine-tuned."""
        if isinstance(self.model, nn.Module):
            arrays = ((name, tensor.cpu().contiguous().numpy()) for name, tensor in self.model.state_dict().items())
        else:
            arrays = ((weight.path, np.ascontiguousarray(weight.numpy())) for weight in self.model.weights)
        digest = hashlib.sha256()
        for name, array in arrays:
            digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    @property
    def key(self):
        """All that decides an embedding besides the images, as JSON can hold it: for the key of a cache.

        "precision" is what `embed` computes in here unless told: float32 and bfloat16 embeddings of one network differ,
        and a cache may be shared by a machine that has a GPU and one that has none. Who asks `embed` for another says
        so: backbone.key | {"precision": "float32"}.
        """
        return {
            "backbone": self.name,
            "weights": self.weights_digest,
            "layer": self.layer,
            "pooling": self.pooling,
            "preprocess": repr(self.preprocess),
            "precision": _precision(self.model, "auto"),
        }


def load(name, weights="default", layer=None, pooling=None, image_size=None, device=None, seed=0, **options):
    """The network of this name as a Backbone.

    name        one of `names()`, or "keras:" and the name of a model of keras.applications
    weights     "default"; a torchvision version of them ("IMAGENET1K_V1"); the path of a .pth, .safetensors or (Keras)
                .weights.h5 file, float16 too; or "none": untrained, drawn by `seed`. A classifier in the file is left
                out, so it may have any number of classes, or be missing
    layer       None: the input of the classifier. Else the name of a layer (`layer_names` lists them)
    pooling     of a layer's map (n, c, h, w) to (n, c): "average" (None means it), "max" or "gem"; of a vision
                transformer's tokens (n, 1 + t, c): "class_token" (None means it), or one of those over the other t.
                A layer that gives (n, c) needs none
    image_size  None: as the weights were trained, most often the shorter side to 256 and the central 224 x 224. A
                number: the shorter side to it and the central square, so that small images need not be enlarged
    device      None: the GPU where there is one, else the CPU
    options     for the network's constructor: alpha=0.25 (keras:MobileNet), n_boxes=36 (fasterrcnn_...)

    Of Keras's models the embedding is the average over the last map; for most of them that is the input of the
    classifier (not so for VGG, which has two further layers). Preprocessing for a file is that of torchvision's first
    weights of this name.

    ValueError for an unknown name or layer (the nearest are offered), an unknown pooling or one that does not go with
    the layer, and for weights that do not fit (which keys) or are damaged. MissingWeights for those that are not there.

    >>> load("squeezenet1_1", weights="none", image_size=64, device="cpu").dimension
    512
    >>> load("resnet18", "none", layer="layer2", pooling="gem", image_size=64, device="cpu").dimension
    128
    """
    if pooling is not None and pooling not in POOLINGS:
        raise ValueError(f"unknown pooling {pooling!r}; allowed are {', '.join(POOLINGS)}, or None")
    if image_size is not None and (not isinstance(image_size, int) or image_size < 1):
        raise ValueError(f"image_size must be a whole number of pixels, at least 1, or None; got {image_size!r}")
    if name.startswith("keras:"):
        return _load_keras(name, weights, layer, pooling, image_size, seed, options)
    _known(name)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if name.startswith("fasterrcnn_"):
        if layer is not None or pooling is not None:
            raise ValueError(f"{name} gives the mean of its best boxes; a layer or a pooling cannot be chosen")
        return _load_detector(name, weights, image_size, device, seed, **options)

    if name == "course":
        network, preprocess, path = _course(weights, image_size, seed)
    else:
        network, preprocess, path = _classifier_of_torchvision(name, weights, image_size, seed, options)
    if not name.startswith(("vit_", "swin_")):
        network = network.to(memory_format=torch.channels_last)  # faster for convolutions, slower for attention
    network = network.to(device).eval()
    model, dimension = _up_to(network, name, layer, pooling, preprocess.crop)
    return Backbone(name, model, preprocess, dimension, layer, pooling, "none" if path is None else str(path))


def embed(backbone, images, batch_size=64, progress=True, precision="auto"):
    """Embeddings float32 (n, d), C-contiguous, of all images, a batch at a time.

    images      uint8 (n, h, w, 3), RGB; or a collection (with `.image(i)` and a length); or any iterable of images
                uint8 (h, w, 3) and batches uint8 (m, h, w, 3), mixed sizes too: a generator keeps memory bounded
    batch_size  images held in memory at a time, besides what `images` itself holds
    progress    a bar, in a terminal and in Jupyter
    precision   "float32", "bfloat16" (autocast: cosine to float32 at least 0.999), or "auto": bfloat16 where it is
                faster, on a GPU and on a CPU with AMX, else float32. Keras's models and detectors compute in float32

    The model computes where it is, in evaluation mode, and is left as it was. ValueError for no image at all, a wrong
    shape or type (which image), and for embeddings that are not finite (which rows).

    >>> control = load("squeezenet1_1", weights="none", image_size=32, device="cpu")
    >>> embed(control, np.zeros((3, 40, 30, 3), np.uint8), batch_size=2).shape
    (3, 512)
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"unknown precision {precision!r}; allowed are auto, float32, bfloat16")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be a whole number, at least 1; got {batch_size!r}")
    forward = _torch_forward(backbone, precision) if isinstance(backbone.model, nn.Module) else _keras_forward(backbone)
    shown = progress and (sys.stderr.isatty() or "ipykernel" in sys.modules)
    shown = shown and os.environ.get("TQDM_DISABLE", "0") in ("", "0")  # tqdm's bar for notebooks does not read it
    rows, n_done = [], 0
    with tqdm(
        total=len(images) if hasattr(images, "__len__") else None,
        desc=f"embed with {backbone.name}",
        unit="image",
        leave=False,
        disable=not shown,
    ) as bar:
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
        raise ValueError("no images: at least one is needed")
    return np.concatenate(rows)


def region_features(images, weights="default", n_boxes=36, image_size=None, batch_size=4, **more):
    """Features float32 (n, 1024) of regions: the box head of torchvision's Faster R-CNN, averaged over its best boxes.

    The detector proposes boxes in each image; of those with the highest score for any class the `n_boxes` best are
    averaged (36 as in Anderson et al., 2018, who keep them apart). images as for `embed`; the shorter side is scaled to
    image_size (None: 800). weights as for `load`, and so are the errors; `more`: progress, device, seed or name
    ("fasterrcnn_resnet50_fpn_v2", ...). The same as embed(load("fasterrcnn_resnet50_fpn", n_boxes=...), images).
    """
    progress = more.pop("progress", True)
    name = more.pop("name", "fasterrcnn_resnet50_fpn")
    backbone = load(name, weights, image_size=image_size, n_boxes=n_boxes, **more)
    return embed(backbone, images, batch_size, progress)


def names():
    """The names that `load` knows, Keras's left out (those are keras.applications', prefixed with "keras:").

    >>> {"resnet18", "vit_b_16", "fasterrcnn_resnet50_fpn"} <= set(names())
    True
    """
    detectors = models.list_models(module=models.detection, include="fasterrcnn_*")
    return ["course", *models.list_models(module=models), *detectors]


def layer_names(name):
    """The layers that `load` accepts for this network of torchvision (or "course"), in the order in which they compute.

    A layer that has others in it ("layer1" has "layer1.0") stands for its output. The classifier gives its input.

    >>> [layer for layer in layer_names("resnet18") if "." not in layer]
    ['conv1', 'bn1', 'relu', 'maxpool', 'layer1', 'layer2', 'layer3', 'layer4', 'avgpool', 'flatten', 'fc']
    """
    _known(name)
    if name.startswith("fasterrcnn_"):
        raise ValueError(f"{name} has no layer to choose: it gives the mean of its best boxes")
    return _layers(_course("none", None, 0)[0] if name == "course" else _headless(name, 0, untrained=False)[0])


# --------------------------------------------------------------------------------------------------- images to batches


@dataclass(frozen=True)
class Preprocess:
    """The shorter side to `resize`, the central `crop` x `crop`, to [0, 1], less mean, by std: float32 (n, 3, h, w)."""

    resize: int
    crop: int
    mean: tuple
    std: tuple
    interpolation: str = "bilinear"  # antialiased, on uint8

    def __call__(self, images, device=None):
        squares = _squares(images, self.resize, self.crop, self.interpolation, device)
        return v2.functional.normalize(v2.functional.to_dtype(squares, torch.float32, scale=True), self.mean, self.std)


@dataclass(frozen=True)
class KerasPreprocess:
    """The shorter side to `size`, the central square, `preprocess_input` of that module: float32 (n, h, w, 3)."""

    size: int
    module: str
    interpolation: str = "bilinear"

    def __call__(self, images):
        squares = _squares(images, self.size, self.size, self.interpolation).permute(0, 2, 3, 1)  # (n, h, w, 3)
        return sys.modules[self.module].preprocess_input(np.array(squares, np.float32, order="C"))


@dataclass(frozen=True)
class DetectorPreprocess:
    """Each image in [0, 1] at its own size: the detector itself scales the shorter side to `shorter_side`."""

    shorter_side: int

    def __call__(self, images, device=None):
        tensors = [torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in _checked(images)]
        return [v2.functional.to_dtype(tensor.to(device), torch.float32, scale=True) for tensor in tensors]


def _squares(images, resize, crop, interpolation, device=None):
    """uint8 (n, 3, crop, crop)"""

    def square(batch):
        batch = torch.from_numpy(np.array(batch)).to(device).permute(0, 3, 1, 2)
        batch = v2.functional.resize(batch, [resize], v2.InterpolationMode(interpolation), antialias=True)
        return v2.functional.center_crop(batch, [crop, crop])

    images = _checked(images)
    if len({image.shape for image in images}) == 1:
        return square(np.stack(images))
    return torch.cat([square(image[None]) for image in images])


def _checked(images, first=0):
    """The images, if every one is uint8 (h, w, 3) with a pixel in it; they are numbered from `first` in the error."""
    for number, image in enumerate(images, first):
        dtype, shape = getattr(image, "dtype", type(image).__name__), np.shape(image)
        if dtype != np.uint8 or len(shape) != 3 or shape[-1] != 3 or 0 in shape:
            raise ValueError(f"image {number} is {dtype} {shape}; uint8 (h, w, 3), RGB, is needed")
    return images


def _batches(images, batch_size):
    """Lists or arrays of at most batch_size images, each checked."""
    if isinstance(images, np.ndarray):
        if images.ndim != 4:
            raise ValueError(f"images are {images.dtype} {images.shape}; uint8 (n, h, w, 3), RGB, is needed")
        for start in range(0, len(images), batch_size):
            yield _checked(images[start : start + batch_size], start)
        return
    if hasattr(images, "image") and hasattr(images, "__len__"):  # a collection
        collection = images
        images = (collection.image(i) for i in range(len(collection)))
    singles = itertools.chain.from_iterable(item if np.ndim(item) == 4 else [item] for item in images)
    start = 0
    while batch := list(itertools.islice(singles, batch_size)):
        yield _checked(batch, start)
        start += len(batch)


def _torch_forward(backbone, precision):
    model = backbone.model
    device = next(model.parameters()).device
    if precision == "bfloat16" and isinstance(model, _Regions):
        raise ValueError(f"{backbone.name} is computed in float32 only: boxes need more than 8 bits")
    precision = _precision(model, precision)

    def forward(batch):
        was_training = [module for module in model.modules() if module.training]
        model.eval()
        try:
            inputs = backbone.preprocess(batch, device)
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                return model(inputs).float().cpu().numpy()
        finally:
            for module in was_training:
                module.training = True

    return forward


def _precision(model, asked):
    """What the model computes in when asked for "auto", or for one by its name."""
    if isinstance(model, _Regions) or not isinstance(model, nn.Module):  # detectors and Keras's models
        return "float32"
    if asked == "auto":
        return "bfloat16" if _gains_by_bfloat16(next(model.parameters()).device) else "float32"
    return asked


def _gains_by_bfloat16(device):
    """Is bfloat16 faster here? On a CPU with AMX it is; with AVX-512 BF16 alone nothing was gained when measured."""
    if device.type == "cpu":
        return bool(torch.cpu.get_capabilities().get("amx_bf16"))
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


# -------------------------------------------------------------------------------------------- networks to an embedding


class Pool(nn.Module):
    """Maps (n, c, h, w) or, channels last, (n, h, w, c), or tokens (n, 1 + t, c), to (n, c)."""

    def __init__(self, pooling, channels_last=False):
        super().__init__()
        self.pooling, self.channels_last = pooling, channels_last

    def forward(self, maps):
        maps = maps.float()  # powers and long sums are no work for bfloat16
        if self.pooling == "class_token":
            return maps[:, 0]
        if maps.ndim == 3:
            values = maps[:, 1:].transpose(1, 2)  # (n, c, t), without the class token
        else:
            values = (maps.permute(0, 3, 1, 2) if self.channels_last else maps).flatten(2)  # (n, c, h * w)
        if self.pooling == "max":
            return values.amax(2)
        if self.pooling == "gem":
            return values.clamp(min=1e-6).pow(GEM_POWER).mean(2).pow(1 / GEM_POWER)
        return values.mean(2)


class _Layer(nn.Module):
    def __init__(self, extractor, pool):
        super().__init__()
        self.extractor, self.pool = extractor, pool

    def forward(self, images):
        return self.pool(self.extractor(images)["maps"])


class _Regions(nn.Module):
    """The detector, as a network from images to the mean of its box head over the best boxes."""

    def __init__(self, detector, n_boxes):
        super().__init__()
        self.detector, self.n_boxes = detector, n_boxes

    def forward(self, images):
        # One by one: together they would be padded to one size, and the edges of the padding would be seen.
        return torch.cat([self._of_one(image) for image in images])

    def _of_one(self, image):
        batch, _ = self.detector.transform([image])
        maps = self.detector.backbone(batch.tensors)
        boxes, _ = self.detector.rpn(batch, maps)
        heads = self.detector.roi_heads
        features = heads.box_head(heads.box_roi_pool(maps, boxes, batch.image_sizes))  # (boxes, 1024)
        logits, _ = heads.box_predictor(features)
        scores = logits.softmax(1)[:, 1:].amax(1)  # column 0 is the background
        best = scores.topk(min(self.n_boxes, len(scores))).indices
        return features[best].mean(0, keepdim=True)


def _known(name):
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=3, cutoff=0.5)
        raise ValueError(
            f"unknown model {name!r}; " + (f"did you mean {' or '.join(near)}?" if near else "names() lists them")
        )


def _classifier_of_torchvision(name, weights, image_size, seed, options):
    """The network without its classifier, its preprocessing, and the path of its weights."""
    version, path = _choose(name, weights)
    preset = version.transforms()
    if name.startswith("vit_"):
        options = {"image_size": image_size or preset.crop_size[0], **options}
    network, classifier = _headless(name, seed, untrained=path is None, **options)
    if path is not None:
        _fit(network, _adapted(name, network, _read_state(path)), path, name, leave_out=(f"{classifier}.", *AUXILIARY))
    preprocess = Preprocess(
        image_size or preset.resize_size[0],
        image_size or preset.crop_size[0],
        tuple(preset.mean),
        tuple(preset.std),
        preset.interpolation.value,
    )
    return network, preprocess, path


def _headless(name, seed, untrained, **options):
    """A network whose classifier was replaced by the identity, and the classifier's name."""
    if name in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": untrained, "transform_input": not untrained, **options}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = models.get_model(name, weights=None, **options)
    linear = [layer for layer, module in network.named_modules() if isinstance(module, nn.Linear)]
    convolutions = [layer for layer, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    classifier = (linear or convolutions)[-1]  # squeezenet classifies by a convolution, and pools after it
    network.set_submodule(classifier, nn.Identity())
    return network, classifier


def _up_to(network, name, layer, pooling, size):
    """The module up to the (pooled) layer and the dimension of what it gives."""
    if layer is None and pooling is not None:
        children = ", ".join(child for child, _ in network.named_children())
        raise ValueError(f"pooling={pooling!r} needs a layer to pool; of {name} for example: {children}")
    model = network
    if layer is not None:
        layers = _layers(network)
        if layer not in layers:
            near = difflib.get_close_matches(layer, layers, n=3, cutoff=0.4)
            raise ValueError(
                f"{name} has no layer {layer!r}; "
                + (f"nearest: {', '.join(near)}" if near else f"it has, among others: {', '.join(layers[:10])}")
            )
        model = create_feature_extractor(network, {layer: "maps"}, suppress_diff_warning=True).eval()
    probe = torch.zeros(1, 3, size, size, device=next(network.parameters()).device)
    try:
        with torch.inference_mode():
            shape = tuple(model(probe).shape if layer is None else model(probe)["maps"].shape)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"{name} takes no images of {size} x {size}: {error}") from error
    if layer is None:
        return model, shape[1]
    is_map, is_tokens = len(shape) == 4, len(shape) == 3 and name.startswith("vit_")
    if (
        not (is_map or is_tokens or len(shape) == 2)
        or (len(shape) == 2 and pooling)
        or (is_map and pooling == "class_token")
    ):
        raise ValueError(
            f"layer {layer!r} of {name} gives {shape} for one image; pooling {pooling!r} does not go with that: maps "
            "(n, c, h, w) take average, max or gem, a transformer's tokens (n, t, c) class_token too, (n, c) takes none"
        )
    if len(shape) == 2:
        return _Layer(model, nn.Identity()), shape[1]
    channels_last = name.startswith("swin_") and layer.split(".")[0] in ("features", "norm")
    pool = Pool(pooling or ("class_token" if is_tokens else "average"), channels_last)
    return _Layer(model, pool).eval(), shape[1] if is_map and not channels_last else shape[-1]


def _layers(network):
    """Names of all layers that are computed, those that have others in them included, in the order of their outputs."""
    nodes = get_graph_node_names(network, suppress_diff_warning=True)[1]
    nodes = [node for node in nodes if node != nodes[0]]  # the first is the input
    position = {}
    for i, node in enumerate(nodes):
        parts = node.split(".")
        for depth in range(len(parts), 0, -1):
            position[".".join(parts[:depth])] = (i, -depth)
    return sorted(position, key=position.get)


class _Residual(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.convolutions = nn.Sequential(
            *(nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()),
            *(nn.Conv2d(n_out, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out)),
        )
        pooled = (nn.AvgPool2d(stride, ceil_mode=True), nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out))
        self.shortcut = nn.Identity() if stride == 1 and n_in == n_out else nn.Sequential(*pooled)

    def forward(self, x):
        return (self.convolutions(x) + self.shortcut(x)).relu()


class _CourseNetwork(nn.Module):
    """NestedResNet of networks.py, said shorter, so that this file works alone; a test holds the two equal."""

    def __init__(self, stem, widths, blocks, dimension):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, 2, padding=1, bias=False), nn.BatchNorm2d(stem), nn.ReLU())
        inputs = [stem, *widths]
        self.stages = nn.Sequential(
            *(
                nn.Sequential(*(_Residual(width if b else n_in, width, 1 if b else 2) for b in range(n_blocks)))
                for n_in, width, n_blocks in zip(inputs, widths, blocks, strict=False)
            )
        )
        self.embedding = nn.Linear(inputs[-1], dimension)

    def forward(self, x):
        return self.embedding(self.stages(self.stem(x)).mean((2, 3)))


def _course(weights, image_size, seed):
    """The project's own network, its preprocessing, and the path of its weights, whose metadata describe both."""
    roots = [*Path.cwd().resolve().parents, Path(__file__).resolve().parent.parent]
    places = [*_folders(), *(root / "data" / "backbones" for root in [Path.cwd().resolve(), *roots])]
    looked_for = [place / "course.safetensors" for place in places]
    path = next((place for place in looked_for if place.is_file()), None)
    if weights not in ("default", "none"):
        path = _file("course", weights)
    if path is None:
        lines = "\n".join(f"  {place}" for place in dict.fromkeys(looked_for))
        raise MissingWeights(
            f"The weights of the course's own network are not here. Looked for:\n{lines}\nThey come with "
            "the project, in data/backbones; or give the path of the file: load('course', weights=path)"
        )
    try:
        with safetensors.safe_open(path, "np") as file:
            about = file.metadata() or {}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} ({path.stat().st_size:,} bytes) is no sound .safetensors file: {error}") from error
    if not {"config", "image_size", "mean", "std"} <= about.keys():
        raise ValueError(f"{path} says {sorted(about)} of itself; config, image_size, mean and std are needed")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = _CourseNetwork(**json.loads(about["config"]))
    if weights == "none":
        path = None
    else:
        _fit(network, _read_state(path), path, "course")
    size = image_size or int(about["image_size"])
    return network, Preprocess(size, size, *(tuple(json.loads(about[key])) for key in ("mean", "std"))), path


def _load_detector(name, weights, image_size, device, seed, n_boxes=36):
    if isinstance(n_boxes, bool) or not isinstance(n_boxes, int) or n_boxes < 1:
        raise ValueError(f"n_boxes must be a whole number, at least 1; got {n_boxes!r}")
    _, path = _choose(name, weights)
    options = {} if image_size is None else {"min_size": image_size, "max_size": 2 * image_size}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        detector = models.get_model(name, weights=None, weights_backbone=None, **options)
    if path is not None:
        _fit(detector, _read_state(path), path, name)
        if (
            name == "fasterrcnn_resnet50_fpn"
        ):  # trained with frozen batch norm, which then added nothing to the variance
            for module in detector.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eps = 0.0
    model = _Regions(detector, n_boxes).to(device).eval()
    preprocess = DetectorPreprocess(detector.transform.min_size[0])
    dimension = detector.roi_heads.box_predictor.cls_score.in_features
    return Backbone(name, model, preprocess, dimension, None, f"mean of {n_boxes} boxes", str(path or "none"))


# -------------------------------------------------------------------------------------------------------------- weights


def _choose(name, weights):
    """torchvision's weights whose preprocessing holds, and the path of the file to load (None: untrained)."""
    versions = models.get_model_weights(name)
    first = next(iter(versions))
    if weights == "none":
        return first, None
    if weights == "default":
        local = [folder / f"{name}{suffix}" for folder in _folders() for suffix in (".pth", ".safetensors")]
        path = next((path for path in local if path.is_file()), None)
        return (first, path) if path else (versions.DEFAULT, _checkpoint(name, versions.DEFAULT, local))
    if weights in versions.__members__:
        return versions[weights], _checkpoint(name, versions[weights], [])
    return first, _file(name, weights, versions.__members__)


def _file(name, weights, versions=()):
    path = Path(weights).expanduser()
    if not path.is_file():
        allowed = ", ".join(["default", "none", *versions])
        raise MissingWeights(f"weights of {name}: no file {str(weights)!r}. Allowed are a path, and: {allowed}")
    return path


def _folders():
    return [Path(place).expanduser() for place in os.environ.get("RETRIEVAL_WEIGHTS", "").split(os.pathsep) if place]


def _checkpoint(name, version, looked_for):
    """The path of torchvision's own checkpoint: in torch hub's cache, or downloaded into it. Sound, or an error."""
    url = version.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    prefix = re.search(r"-([0-9a-f]{8,})\.", path.name).group(1)
    if not path.is_file():
        try:
            urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=20).close()
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix)
        except OSError as error:  # URLError, timeouts and a full disk are among them
            places = "\n".join(f"  {place}" for place in [*looked_for, path])
            raise MissingWeights(
                f"The weights of {name} are not here, and could not be fetched ({error}).\nLooked for:\n{places}\n"
                f"To get them: fetch {url} where there is a connection, and put the file into {path.parent}; or name a "
                f"folder that has {name}.pth in $RETRIEVAL_WEIGHTS; or give the path of a file: load({name!r}, "
                f"weights=path). load({name!r}, weights='none') is an untrained network."
            ) from error
        except RuntimeError as error:  # what came is not the file: the page of a proxy, or cut off
            raise ValueError(f"{url} did not give the weights of {name}, nothing was kept: {error}") from error
    elif not _sha256(path).startswith(prefix):
        raise ValueError(
            f"{path} is damaged: its SHA-256 does not begin with {prefix}. Delete it; it is fetched again."
        )
    return path


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_state(path):
    """The state dict in a file, name -> tensor. Never a pickle of anything else."""
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path} ({path.stat().st_size:,} bytes) cannot be read as a state dict: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        found = f"a dict of {', '.join(map(str, list(state)[:5]))}" if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"{path} holds {found}; a state dict, name -> tensor, is needed")
    return state


def _adapted(name, network, state):
    """The state with the names and sizes that the network of today has."""
    if name.startswith("densenet"):  # older files say norm.1 for norm1
        state = {
            re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", key): value for key, value in state.items()
        }
    if name.startswith("vit_") and "encoder.pos_embedding" in state:
        state = models.vision_transformer.interpolate_embeddings(network.image_size, network.patch_size, dict(state))
    return state


def _fit(network, state, path, name, leave_out=()):
    """Load the state into the network, in float32, or say which keys stand in the way."""
    own = network.state_dict()
    state = {key: value for key, value in state.items() if not key.startswith(tuple(leave_out))}
    troubles = {
        "missing": [key for key in own if key not in state and not key.endswith("num_batches_tracked")],
        "unexpected": [key for key in state if key not in own],
        "of another shape": [
            f"{key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
            for key in own
            if key in state and state[key].shape != own[key].shape
        ],
    }
    if any(troubles.values()):
        lines = [
            f"  {len(keys)} {what}: {', '.join(keys[:5])}{', ...' if len(keys) > 5 else ''}"
            for what, keys in troubles.items()
            if keys
        ]
        raise ValueError(f"{path} does not fit {name}:\n" + "\n".join(lines))
    network.load_state_dict(state, strict=False)  # copies into float32, whatever the file has


# ---------------------------------------------------------------------------------------------------------------- Keras


def _load_keras(name, weights, layer, pooling, image_size, seed, options):
    import keras  # with TensorFlow behind it: only here

    known = {key: value for key, value in vars(keras.applications).items() if key[0].isupper() and callable(value)}
    kind = name.removeprefix("keras:")
    if kind not in known:
        near = difflib.get_close_matches(kind, known, n=3, cutoff=0.5) or sorted(known)
        raise ValueError(f"unknown model {name!r}; did you mean {' or '.join(f'keras:{key}' for key in near)}?")
    size = image_size or KERAS_SIZES.get(kind, 224)
    local = [folder / f"{kind}.weights.h5" for folder in _folders()]
    if weights == "default":
        path = next((path for path in local if path.is_file()), None)
    else:
        path = None if weights == "none" else _file(name, weights)
    fetched = weights == "default" and path is None
    state = random.getstate()
    random.seed(seed)  # Keras draws the seeds of its initialisers from here
    try:
        network = known[kind](
            include_top=False, weights="imagenet" if fetched else None, input_shape=(size, size, 3), **options
        )
    except (ValueError, TypeError):
        raise
    except Exception as error:  # what Keras raises where there is no connection
        looked_for = "\n".join(f"  {place}" for place in [*local, "~/.keras/models"])
        raise MissingWeights(
            f"The weights of {name} are not here, and could not be fetched ({error}).\nLooked for:\n{looked_for}\n"
            f"To get them: load {name!r} once where there is a connection and copy the file from its cache; or give "
            f"the path of a .weights.h5 file: load({name!r}, weights=path). weights='none' is an untrained network."
        ) from error
    finally:
        random.setstate(state)
    if path is not None:
        _fit_keras(network, path, name)
    layers = [entry.name for entry in network.layers]
    if layer is not None and layer not in layers:
        near = difflib.get_close_matches(layer, layers, n=3, cutoff=0.4) or layers[-10:]
        raise ValueError(f"{name} has no layer {layer!r}; nearest: {', '.join(near)}")
    maps = network.output if layer is None else network.get_layer(layer).output
    if len(maps.shape) != 4 or pooling == "class_token":
        raise ValueError(f"layer {layer!r} of {name} gives {maps.shape}; pooling {pooling!r} does not go with that")
    if pooling == "gem":
        powers = keras.ops.power(keras.ops.maximum(maps, 1e-6), GEM_POWER)
        output = keras.ops.power(keras.ops.mean(powers, axis=(1, 2)), 1 / GEM_POWER)
    else:
        pool = keras.layers.GlobalMaxPooling2D if pooling == "max" else keras.layers.GlobalAveragePooling2D
        output = pool()(maps)
    model = keras.Model(network.input, output)
    preprocess = KerasPreprocess(size, known[kind].__module__)
    source = "keras.applications" if fetched else str(path or "none")
    return Backbone(name, model, preprocess, int(output.shape[-1]), layer, pooling, source)


def _fit_keras(network, path, name):
    """Load the weights of a file, every one: what Keras leaves out it mentions in a warning at most."""
    network.set_weights([np.full(weight.shape, np.nan, np.float32) for weight in network.weights])
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Skipping nested container")  # seen below, if it matters
            network.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{path} does not fit {name}: {error}") from error
    left = [weight.path for weight in network.weights if np.isnan(weight.numpy()).any()]
    if left:
        raise ValueError(f"{path} does not fit {name}: nothing, or NaN, for {len(left)} weights: {', '.join(left[:5])}")


def _keras_forward(backbone):
    return lambda batch: backbone.model.predict_on_batch(backbone.preprocess(batch))
