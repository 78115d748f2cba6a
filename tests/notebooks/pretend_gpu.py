"""A pretend GPU, for machines without one: `with pretend_gpu():` gives tensors that say they lie on "cuda".

What a GPU would refuse they refuse too: to be mixed with tensors of the CPU, and to become numpy arrays without
`.cpu()`. The numbers themselves are computed on the CPU, so they can be compared. It finds code that forgot to move
something; it says nothing about a real GPU's precision, memory or speed.
"""

import contextlib
from unittest import mock

import torch
from torch.__future__ import get_overwrite_module_params_on_conversion, set_overwrite_module_params_on_conversion
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("cuda", 0)
# These may take indices, or values to copy, from the CPU.
MAY_MIX = {"index", "index_put", "index_put_", "_index_put_impl_", "copy_", "_unsafe_index", "_unsafe_index_put"}


class There(torch.Tensor):
    """A tensor on the pretend GPU; `here` holds its numbers."""

    @staticmethod
    def __new__(cls, here):
        about = dict(strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype)
        return torch.Tensor._make_wrapper_subclass(cls, here.shape, **about)

    def __init__(self, here):
        self.here = here

    device = property(lambda self: DEVICE)
    is_cuda = True
    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})

    def __repr__(self):
        return f"There({self.here})"

    def numpy(self, *args, **kwargs):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    def __array__(self, *args, **kwargs):
        return self.numpy()


class _Up(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return There(x.detach().clone(memory_format=torch.preserve_format))

    @staticmethod
    def backward(context, gradient):
        return gradient.here


class _Down(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.here.detach().clone(memory_format=torch.preserve_format)

    @staticmethod
    def backward(context, gradient):
        return There(gradient)


def _moved(x, device):
    if device.type == "cuda":
        return x if isinstance(x, There) else _Up.apply(x)
    return _Down.apply(x) if isinstance(x, There) else x


def _run(operation, args, kwargs):
    """The operation on the numbers, and its results on the pretend GPU if a tensor of it took part."""
    tensors = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, torch.Tensor)]
    there = {id(each.here): each for each in tensors if isinstance(each, There)}
    if not there:
        return operation(*args, **kwargs)
    strangers = [each for each in tensors if not isinstance(each, There) and each.ndim > 0]
    name = operation.overloadpacket.__name__
    if name == "copy_" and not isinstance(args[0], There):
        return operation(args[0], args[1].here, *args[2:], **kwargs)  # into a tensor of the CPU
    if strangers and not (name in MAY_MIX and isinstance(tensors[0], There)):
        raise RuntimeError(f"Expected all tensors to be on the same device ({name}: cuda:0 and cpu)")
    if torch.Tag.inplace_view in operation.tags:
        with no_dispatch():
            operation(*args, **kwargs)  # the wrapper's own shape and strides
    args, kwargs = tree_map(lambda x: x.here if isinstance(x, There) else x, (args, kwargs))
    results = operation(*args, **kwargs)

    def wrapped(x):
        if not isinstance(x, torch.Tensor):
            return x
        return there[id(x)] if id(x) in there else There(x)  # what was changed in place stays what it was

    return tree_map(wrapped, results)


class _NoMixing(TorchDispatchMode):
    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})


class _Moves(TorchFunctionMode):
    """`device="cuda"`, `.to("cuda")`, `.cpu()` and their like."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(function, "__name__", "")
        if name in ("cpu", "cuda") and isinstance(args[0], torch.Tensor):
            return _moved(args[0], torch.device(name))
        if name == "tolist" and isinstance(args[0], There):
            return args[0].here.tolist()
        if name == "to" and isinstance(args[0], torch.Tensor):
            args, device = self._device_of_to(args, kwargs)
            x = args[0]
            x = x if device is None else _moved(x, device)
            return function(x, *args[1:], **kwargs) if len(args) > 1 or kwargs else x
        if kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "cuda":
            return _moved(function(*args, **{**kwargs, "device": "cpu"}), DEVICE)
        return function(*args, **kwargs)

    @staticmethod
    def _device_of_to(args, kwargs):
        kwargs.pop("non_blocking", None)
        device, rest = kwargs.pop("device", None), list(args)
        if len(rest) > 1 and isinstance(rest[1], torch.Tensor):
            device, rest[1] = rest[1].device, rest[1].dtype
        elif len(rest) > 1 and isinstance(rest[1], str | torch.device):
            device = rest.pop(1)
        rest = [each for each in rest if each is not None and each is not False]
        return rest, None if device is None else torch.device(device)


@contextlib.contextmanager
def pretend_gpu():
    """In this context torch says that it has a GPU, and "cuda" is a pretend one."""
    fakes = {
        "is_available": lambda: True,
        "is_bf16_supported": lambda *args, **kwargs: False,
        "get_rng_state": lambda *args: torch.get_rng_state(),
        "set_rng_state": lambda *args: None,
        "device_count": lambda: 1,
        "get_device_name": lambda *args: "a pretend GPU",
        "synchronize": lambda *args: None,
    }
    with contextlib.ExitStack() as stack:
        for name, fake in fakes.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, fake))
        stack.enter_context(mock.patch.object(torch.accelerator, "current_accelerator", lambda *args, **kwargs: None))
        stack.enter_context(mock.patch.object(torch.backends.cudnn, "is_acceptable", lambda tensor: False))
        # Wrappers made in inference mode cannot share their version with what they are views of.
        stack.enter_context(
            mock.patch.object(torch, "inference_mode", lambda mode=True: torch.set_grad_enabled(not mode))
        )
        stack.callback(set_overwrite_module_params_on_conversion, get_overwrite_module_params_on_conversion())
        set_overwrite_module_params_on_conversion(True)  # a parameter cannot change its kind in place
        stack.enter_context(_NoMixing())
        stack.enter_context(_Moves())
        yield DEVICE
