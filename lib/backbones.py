"""Pretrained networks as embedders: name -> network, preprocessing and dimension, together.

The embedding is the input of the network's classifier, or the output of any named layer, pooled. Names are
    efficientnet_lite0, efficientnet_lite2   weights from packages of the package index, so no download is needed
    timm:NAME                                any network of timm, with its own preprocessing: "timm:resnet18.a1_in1k"
    resnet50, vit_b_16, ...                  torchvision's (`names()` lists them)
    vgg16_features                           the 13 convolutions of VGG-16 alone, the last map averaged
    fasterrcnn_resnet50_fpn, ...             torchvision's detectors, for features of regions

Weights "default" are looked for as `<name>.pth` or `<name>.safetensors` ("timm_NAME.pth" for "timm:NAME") in the
folders of $RETRIEVAL_WEIGHTS, then in the installed package, then in the cache of torch hub or of the Hugging Face hub,
then downloaded, checked by their digest. A path is a file; "none" is an untrained network, the control, which never
stands in for weights that are not there: those are a `MissingWeights` that says where they were looked for.

Needs: numpy, torch, torchvision, tqdm, safetensors; timm for its names and efficientnet_lite.
Copy with: weights.py, embedding.py.
"""

import difflib
import importlib.util
import re
import sys
from dataclasses import dataclass

if "tensorflow" in sys.modules and "triton" not in sys.modules and importlib.util.find_spec("triton"):
    # Both bring an LLVM of their own; loaded in this order, the second aborts the whole process.
    raise ImportError("torch cannot be loaded after TensorFlow: import this module before keras and tensorflow")

try:
    from lib import embedding
    from lib import weights as checkpoints
except ModuleNotFoundError:  # copied beside this file
    import embedding
    import weights as checkpoints

import torch
from torch import nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

MissingWeights = checkpoints.MissingWeights
embed = embedding.embed

POOLINGS = ("average", "max", "gem", "class_token")
GEM_POWER = 3.0  # where Radenovic et al. (2018) start; 1 would be the average, infinity the maximum
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")  # second classifiers of googlenet and inception_v3, for training only
VGG = "vgg16_features"
VGG_DIGEST = "d97dca2fa7ce90e70f58f725b273967ddf9af01773a2b5a1fe0911bd55f93a1a"  # SHA-256 of vgg16_features.pth
OF_TIMM = {"efficientnet_lite0": "tf_efficientnet_lite0", "efficientnet_lite2": "tf_efficientnet_lite2"}


@dataclass(frozen=True, eq=False)
class Backbone:
    """What `load` returns. For fine-tuning: nn.Sequential(backbone.model, nn.Linear(backbone.dimension, n_classes))."""

    name: str
    model: nn.Module  # preprocessed images -> embeddings (n, dimension), in evaluation mode
    preprocess: object  # images uint8 (n, h, w, 3), or a list of uint8 (h, w, 3) of any sizes -> what `model` takes
    dimension: int
    layer: str | None  # as asked for, and so is pooling; None and None: the input of the classifier
    pooling: str | None
    source: str  # where the weights came from: a path, or "none"

    @property
    def weights_digest(self):
        """SHA-256 (hex) of the weights as they are now: it changes when the model is fine-tuned."""
        return checkpoints.digest_state(self.model.state_dict())

    @property
    def key(self):
        """All that decides an embedding besides the images, as JSON can hold it: for the key of a cache.

        "precision" is what `embed` computes in on this machine unless told, since float32 and bfloat16 embeddings of
        one network differ. Who asks `embed` for another says so: backbone.key | {"precision": "float32"}.
        """
        return {
            "backbone": self.name, "weights": self.weights_digest, "layer": self.layer, "pooling": self.pooling,
            "preprocess": repr(self.preprocess), "precision": embedding.precision_of(self),
        }  # fmt: skip


def load(name, weights="default", layer=None, pooling=None, image_size=None, device=None, seed=0, **options):
    """The network of this name as a Backbone.

    name        one of `names()`, or "timm:" and the name of a network of timm, with or without the tag of its weights
    weights     "default"; a torchvision version of them ("IMAGENET1K_V1"); the path of a .pth or .safetensors file,
                float16 too, whose classifier is left out; or "none": untrained, drawn by `seed`
    layer       None: the input of the classifier. Else the name of a layer (`layer_names` lists them)
    pooling     of a layer's map (n, c, h, w) to (n, c): "average" (None means it), "max" or "gem"; of a vision
                transformer's tokens (n, 1 + t, c): "class_token" (None means it), or one of those over the other t.
                A layer that gives (n, c) needs none
    image_size  None: as the weights were trained, most often the shorter side to 256 and the central 224 x 224. A
                number: the shorter side to it and the central square, so that small images need not be enlarged
    device      None: the GPU where there is one, else the CPU
    options     for the network's constructor: n_boxes=36 (fasterrcnn_...), drop_path_rate=0.1 (timm)

    Preprocessing is that of the weights; for a file that of torchvision's first weights of this name, or of timm's.
    ValueError for an unknown name or layer (the nearest are offered), a pooling that does not go with the layer, a size
    that the network does not take, and weights that do not fit (which keys) or are damaged.
    >>> load("resnet18", "none", layer="layer2", pooling="gem", image_size=64, device="cpu").dimension
    128
    """
    if pooling is not None and pooling not in POOLINGS:
        raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, or None; got {pooling!r}")
    if image_size is not None and (not isinstance(image_size, int) or image_size < 1):
        raise ValueError(f"image_size must be a positive integer (pixels), or None; got {image_size!r}")
    _known(name)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if name.startswith("fasterrcnn_"):
        if layer is not None or pooling is not None:
            raise ValueError(f"{name} gives the mean of its best boxes; a layer or a pooling cannot be chosen")
        return _load_detector(name, weights, image_size, device, seed, **options)

    zoo = _classifier_of_timm if _is_of_timm(name) else _classifier_of_torchvision
    network, preprocess, path = zoo(name, weights, image_size, seed, options)
    if sum(isinstance(module, nn.Conv2d) for module in network.modules()) > 1:
        network = network.to(memory_format=torch.channels_last)  # faster for convolutions, slower for attention
    network = network.to(device).eval()
    model, dimension = _up_to(network, name, layer, pooling, preprocess.crop)
    return Backbone(name, model, preprocess, dimension, layer, pooling, "none" if path is None else str(path))


def blocks(backbone):
    """The network as modules to be applied one after the other, the last of which pools: to freeze the first of them.

    For networks that are a chain: EfficientNets of timm, ResNets, MobileNetV2, SqueezeNet and VGG's features of
    torchvision. ValueError for others, for a Backbone with a layer of its own, and where the chain computes another
    embedding than the network. The modules are those of the network, not copies.
    >>> len(blocks(load("resnet18", "none", image_size=64, device="cpu")))  # the stem, four stages, the pooling
    6
    """
    if not isinstance(backbone, Backbone):
        raise TypeError(f"expected a Backbone, got {backbone!r}")
    network = backbone.model
    if hasattr(network, "conv_stem"):
        stem, head = nn.Sequential(network.conv_stem, network.bn1), nn.Sequential(network.conv_head, network.bn2)
        chain = [stem, *network.blocks, head]
    elif hasattr(network, "layer4"):
        activation = network.act1 if hasattr(network, "act1") else network.relu  # timm's name, torchvision's
        stem = nn.Sequential(network.conv1, network.bn1, activation, network.maxpool)
        chain = [stem, network.layer1, network.layer2, network.layer3, network.layer4]
    else:
        chain = list(getattr(network, "features", ()))
    chain.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    size, weight = getattr(backbone.preprocess, "crop", 224), next(network.parameters())
    probe = torch.linspace(-1, 1, 3 * size * size, device=weight.device).view(1, 3, size, size)
    with torch.inference_mode():
        own, chained = network(probe), nn.Sequential(*chain)(probe)
    if own.shape != chained.shape or not torch.allclose(own, chained, rtol=1e-4, atol=1e-5):
        raise ValueError(f"{backbone.name} is no chain of blocks with a pooling at the end (layer {backbone.layer})")
    return chain


def names():
    """The names that `load` knows; those of timm are timm.list_models(), with "timm:" before each.

    >>> {"efficientnet_lite0", "resnet18", "vit_b_16", "fasterrcnn_resnet50_fpn"} <= set(names())
    True
    """
    detectors = models.list_models(module=models.detection, include="fasterrcnn_*")
    return [*OF_TIMM, *models.list_models(module=models), VGG, *detectors]


def layer_names(name):
    """The layers that `load` accepts for this network, in the order of computation; the classifier's is its input.

    >>> [layer for layer in layer_names("resnet18") if "." not in layer]
    ['conv1', 'bn1', 'relu', 'maxpool', 'layer1', 'layer2', 'layer3', 'layer4', 'avgpool', 'flatten', 'fc']
    """
    _known(name)
    if name.startswith("fasterrcnn_"):
        raise ValueError(f"{name} has no layer to choose: it gives the mean of its best boxes")
    return _layers(_headless_of_timm(name, 0, {}) if _is_of_timm(name) else _headless(name, 0, untrained=False)[0])


def _is_of_timm(name):
    return name in OF_TIMM or name.startswith("timm:")


def _known(name):
    if not isinstance(name, str):
        raise TypeError(f"expected the name of a network, got {name!r}")
    allowed = names()
    if name.startswith("timm:"):
        import timm  # only here: it takes seconds

        allowed = [f"timm:{each}" for each in (*timm.list_models(), *timm.list_pretrained())]
    if name not in allowed:
        near = difflib.get_close_matches(name, allowed, n=3, cutoff=0.5)
        where = "timm.list_models() lists them" if name.startswith("timm:") else "names() lists them"
        raise ValueError(f"unknown model {name!r}; " + (f"did you mean {' or '.join(near)}?" if near else where))


def _classifier_of_timm(name, asked, image_size, seed, options):
    """The network without its classifier, its preprocessing, and the path of its weights."""
    from timm.data import resolve_model_data_config

    network = _headless_of_timm(name, seed, options)
    trained, about = network.pretrained_cfg, resolve_model_data_config(network)
    own_size = about["input_size"][1]
    is_fixed = trained.get("fixed_input_size") and not {"img_size", "dynamic_img_size"} & options.keys()
    if is_fixed and image_size not in (None, own_size):
        raise ValueError(
            f"{name} takes images of {own_size} x {own_size} only, got image_size={image_size}. If it is a vision "
            f"transformer, load(..., image_size={image_size}, img_size={image_size}) resamples its positions"
        )
    path = _choose_of_timm(name, asked, trained)
    if path is not None:
        state = _in_names_of_timm(checkpoints.read_state(path), network, path, name)
        classifier = trained.get("classifier") or ()
        heads = (classifier,) if isinstance(classifier, str) else classifier
        checkpoints.fit(network, state, path, name, leave_out=[f"{head}." for head in heads])
    sizes = image_size or int(own_size / about["crop_pct"]), image_size or own_size
    interpolation = "bilinear" if about["interpolation"] == "bilinear" else "bicubic"
    return network, embedding.Preprocess(*sizes, tuple(about["mean"]), tuple(about["std"]), interpolation), path


def _headless_of_timm(name, seed, options):
    import timm

    architecture = OF_TIMM.get(name, name.removeprefix("timm:"))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return timm.create_model(architecture, pretrained=False, num_classes=0, **options).eval()


def _choose_of_timm(name, asked, trained):
    """The path of the file to load (None: untrained)."""
    if asked == "none":
        return None
    if asked != "default":
        return checkpoints.file(name, asked)
    local, looked_for = checkpoints.in_folders(name.replace(":", "_"))
    path = local or checkpoints.packaged(name)
    if path is not None:
        return path
    packages, how = checkpoints.to_install(name)
    looked_for += packages
    if not trained.get("hf_hub_id"):
        raise checkpoints.missing(name, looked_for, "train it", "timm has no weights of this network on the hub")
    return checkpoints.from_hub(name, trained["hf_hub_id"], looked_for=looked_for, how=how)


def _in_names_of_timm(state, network, path, name):
    """The state as timm's own loader changes it: names of older files, positions for another size."""
    if name in OF_TIMM and "_conv_stem.weight" in state:  # lukemelas' EfficientNet: the same tensors, the same order
        own = [*network.state_dict(), "classifier.weight", "classifier.bias"]
        if len(state) != len(own):
            raise ValueError(f"{path} does not fit {name}: expected {len(own)} tensors, got {len(state)}")
        return dict(zip(own, state.values(), strict=True))
    module = sys.modules[type(network).__module__]
    change = getattr(module, "checkpoint_filter_fn", None) or getattr(module, "_filter_fn", None)
    return state if change is None else change(state, network)


def _classifier_of_torchvision(name, asked, image_size, seed, options):
    """The network without its classifier, its preprocessing, and the path of its weights."""
    version, path = _choose(name, asked)
    preset = version.transforms()
    if name.startswith("vit_"):
        options = {"image_size": image_size or preset.crop_size[0], **options}
    try:
        network, classifier = _headless(name, seed, untrained=path is None, **options)
    except AssertionError as error:  # a vision transformer's size must be a multiple of its patches
        raise ValueError(f"{name} takes no images of {options['image_size']} pixels: {error}") from error
    if path is not None:
        state = _adapted(name, network, checkpoints.read_state(path))
        checkpoints.fit(network, state, path, name, leave_out=(f"{classifier}.", *AUXILIARY))
    sizes = image_size or preset.resize_size[0], image_size or preset.crop_size[0]
    means = tuple(preset.mean), tuple(preset.std)
    return network, embedding.Preprocess(*sizes, *means, preset.interpolation.value), path


def _headless(name, seed, untrained, **options):
    """A network whose classifier was replaced by the identity, and the classifier's name."""
    if name in ("googlenet", "inception_v3"):
        options = {"aux_logits": False, "init_weights": untrained, "transform_input": not untrained, **options}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = models.get_model(name.removesuffix("_features"), weights=None, **options)
    if name == VGG:
        network.avgpool, network.classifier = nn.AdaptiveAvgPool2d(1), nn.Identity()
        return network, "classifier"
    linear = [layer for layer, module in network.named_modules() if isinstance(module, nn.Linear)]
    convolutions = [layer for layer, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    classifier = (linear or convolutions)[-1]  # squeezenet classifies by a convolution, and pools after it
    network.set_submodule(classifier, nn.Identity())
    return network, classifier


def _choose(name, asked):
    """torchvision's weights whose preprocessing holds, and the path of the file to load (None: untrained)."""
    versions = models.get_model_weights(name.removesuffix("_features"))
    first = next(iter(versions))
    if asked == "none":
        return first, None
    path, looked_for = checkpoints.in_folders(name) if asked == "default" else (None, ())
    if path and name == VGG and (found := checkpoints.sha256(path)) != VGG_DIGEST:
        raise ValueError(f"{path} is not the file of this name: expected SHA-256 {VGG_DIGEST}, got {found}")
    if path:
        return first, path
    if asked == "default":
        asked = "IMAGENET1K_FEATURES" if name == VGG else "DEFAULT"
    if asked in versions.__members__:
        return versions[asked], checkpoints.downloaded(name, versions[asked].url, looked_for)
    return first, checkpoints.file(name, asked, versions.__members__)


def _adapted(name, network, state):
    """The state with the names and sizes that the network of today has."""
    if name.startswith("densenet"):  # older files say norm.1 for norm1
        older = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
        state = {older.sub(r"\1\2", key): value for key, value in state.items()}
    if name.startswith("vit_") and "encoder.pos_embedding" in state:
        state = models.vision_transformer.interpolate_embeddings(network.image_size, network.patch_size, dict(state))
    return state


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
            has = f"nearest: {', '.join(near)}" if near else f"it has, among others: {', '.join(layers[:10])}"
            raise ValueError(f"{name} has no layer {layer!r}; {has}")
        tracing = {"tracer_kwargs": _tracing(network), "suppress_diff_warning": True}
        model = create_feature_extractor(network, {layer: "maps"}, **tracing).eval()
    probe = torch.zeros(1, 3, size, size, device=next(network.parameters()).device)
    try:
        with torch.inference_mode():
            shape = tuple(model(probe).shape if layer is None else model(probe)["maps"].shape)
    except (RuntimeError, AssertionError, ZeroDivisionError) as error:
        raise ValueError(f"{name} takes no images of {size} x {size}: {error}") from error
    if layer is None:
        return model, shape[1]
    pool, dimension = _pool_of(network, name, layer, pooling, shape)
    return _Layer(model, pool).eval(), dimension


def _pool_of(network, name, layer, pooling, shape):
    """The module that pools what the layer gives for one image, and the dimension of that."""
    n_first = getattr(network, "num_prefix_tokens", 1 if name.startswith("vit_") else None)  # class token, registers
    is_map, is_tokens = len(shape) == 4, len(shape) == 3 and n_first is not None
    fits = is_map or is_tokens or (len(shape) == 2 and not pooling)
    if not fits or (pooling == "class_token" and (is_map or not n_first)):
        what = f"layer {layer!r} of {name} gives {shape} for one image; pooling {pooling!r} does not go with that"
        maps = "maps (n, c, h, w) take average, max or gem, (n, c) takes none"
        raise ValueError(f"{what}: {maps}, a transformer's tokens (n, t, c) class_token too if it has one")
    if len(shape) == 2:
        return nn.Identity(), shape[1]
    last = getattr(network, "output_fmt", "") == "NHWC"  # timm says so
    last = last or (name.startswith("swin_") and layer.split(".")[0] in ("features", "norm"))
    default = "class_token" if is_tokens and n_first else "average"
    return Pool(pooling or default, last, n_first or 0), shape[1] if is_map and not last else shape[-1]


def _tracing(network):
    """What torch.fx must not look into: timm names it."""
    if not type(network).__module__.startswith("timm."):
        return {}
    from timm.models import get_notrace_functions, get_notrace_modules

    return {"leaf_modules": get_notrace_modules(), "autowrap_functions": tuple(get_notrace_functions())}


def _layers(network):
    """Names of all layers that are computed, those that have others in them included, in the order of their outputs."""
    nodes = get_graph_node_names(network, tracer_kwargs=_tracing(network), suppress_diff_warning=True)[1]
    position = {}
    for i, node in enumerate(nodes[1:]):  # the first is the input
        parts = node.split(".")
        for depth in range(len(parts), 0, -1):
            position[".".join(parts[:depth])] = (i, -depth)
    return sorted(position, key=position.get)


class Pool(nn.Module):
    """Maps (n, c, h, w) or, channels last, (n, h, w, c), or tokens (n, n_first + t, c), to (n, c)."""

    def __init__(self, pooling, channels_last=False, n_first=1):
        super().__init__()
        self.pooling, self.channels_last, self.n_first = pooling, channels_last, n_first

    def forward(self, maps):
        maps = maps.float()  # powers and long sums are no work for bfloat16
        if self.pooling == "class_token":
            return maps[:, 0]
        if maps.ndim == 3:
            values = maps[:, self.n_first :].transpose(1, 2)  # (n, c, t), without the class token and registers
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


def _load_detector(name, asked, image_size, device, seed, n_boxes=36):
    if isinstance(n_boxes, bool) or not isinstance(n_boxes, int) or n_boxes < 1:
        raise ValueError(f"n_boxes must be a positive integer, got {n_boxes!r}")
    _, path = _choose(name, asked)
    options = {} if image_size is None else {"min_size": image_size, "max_size": 2 * image_size}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        detector = models.get_model(name, weights=None, weights_backbone=None, **options)
    if path is not None:
        checkpoints.fit(detector, checkpoints.read_state(path), path, name)
        if name == "fasterrcnn_resnet50_fpn":  # its batch norm was frozen, and then added nothing to the variance
            for module in detector.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eps = 0.0
    model = _Regions(detector, n_boxes).to(device).eval()
    preprocess = embedding.DetectorPreprocess(detector.transform.min_size[0])
    dimension = detector.roi_heads.box_predictor.cls_score.in_features
    return Backbone(name, model, preprocess, dimension, None, f"mean of {n_boxes} boxes", str(path or "none"))


class _Regions(nn.Module):
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
        return features[scores.topk(min(self.n_boxes, len(scores))).indices].mean(0, keepdim=True)
