"""How libraries put programs together: containers of layers, wrappers around functions, layers that keep a scale.

Nothing here says which scale a function wants or gives; that's in `logitkit.conventions`.
"""

from __future__ import annotations

import re

__all__ = [
    "BENDING_LAYERS", "CONTAINERS", "FUNCTIONAL_LAYERS", "GRADIENTS", "HEADS", "KEEPING_LAYERS", "KERAS", "LAYER_LISTS",
    "MODEL_METHODS", "PUBLIC", "SCORES_FIRST", "SCORING_LAYERS", "SELF_METHODS", "STEPS", "TRAINERS",
    "TRANSFORMS", "UNITS", "WRAPPERS", "is_keras", "last",
]  # fmt: skip

KERAS = (
    "keras.",
    "tensorflow.keras.",
    "tensorflow.python.keras.",
    "tf_keras.",
    "keras_core.",
    "tensorflow.compat.v1.keras.",
)

# Where a library defines or once had what it offers by a shorter path, and models that end as another one does.
PUBLIC = tuple(
    (re.compile(private), public)
    for private, public in (
        (r"torch\.nn\.modules\.(?:[a-z]\w*\.)?", "torch.nn."),
        (r"torch\.distributions\.[a-z]\w*\.", "torch.distributions."),
        (r"tensorflow_probability\.(?:python|substrates\.\w+)\.", "tensorflow_probability."),
        (r"tensorflow\.(?:compat\.v1\.|contrib\.)?distributions\.", "tensorflow_probability.distributions."),
        (r"keras\.backend\.", "keras.ops."),
        (
            r"segmentation_models_pytorch\.(?:UnetPlusPlus|MAnet|Linknet|FPN|PSPNet|PAN|DeepLabV3|DeepLabV3Plus)$",
            "segmentation_models_pytorch.Unet",
        ),
    )
)

# Layers whose output is any real number, and where they're told how many.
UNITS = {
    "Linear": (1, ("out_features", "output_size")), "LazyLinear": (0, ("out_features",)),
    "Dense": (0, ("units", "features", "output_dim")),
    "DenseGeneral": (0, ("features",)), "Bilinear": (2, ("out_features",)), "Conv": (0, ("features",)),
}  # fmt: skip
for _kind, _at, _names in (("{}d", 1, ("out_channels",)), ("{}D", 0, ("filters", "nb_filter"))):
    for _name in (f"{_layer}{_d}" for _layer in ("Conv", "ConvTranspose", "Convolution") for _d in (1, 2, 3)):
        UNITS[_kind.format(_name)] = (_at, _names)
UNITS.update(
    {"Conv2DTranspose": (0, ("filters",)), "Conv3DTranspose": (0, ("filters",)), "SeparableConv2D": (0, ("filters",))}
)
SCORING_LAYERS = frozenset(UNITS)
# TensorFlow 1's layers as functions, and the position of their activation.
FUNCTIONAL_LAYERS = {"dense": 2, "fully_connected": 2, "conv1d": 7, "conv2d": 7, "conv2d_transpose": 6}
# TensorFlow before 1.0 took the scores first, and 1.x takes no positional arguments.
SCORES_FIRST = re.compile(r"tensorflow\.nn\.\w*cross_entropy_with_logits$")
# What trains a model with a loss: where it's given the model and the loss, by position and by name.
TRAINERS = {
    "Learner": ((1, "model"), (2, "loss_func")),
    "create_supervised_trainer": ((0, "model"), (2, "loss_fn")),
}

# What Lightning's trainer calls of a model.
STEPS = ("training_step", "validation_step", "test_step")

# Layers that move numbers, drop some or pool them.
KEEPING_LAYERS = frozenset(
    """Dropout Dropout1d Dropout2d Dropout3d AlphaDropout SpatialDropout1D SpatialDropout2D Flatten Unflatten Reshape
    Identity Permute UpSampling1D UpSampling2D UpSampling3D Upsample UpsamplingBilinear2d UpsamplingNearest2d Cropping1D
    Cropping2D Cropping3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalAveragePooling1D GlobalAveragePooling2D
    GlobalMaxPool1D GlobalMaxPool2D GlobalAvgPool1D GlobalAvgPool2D MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d
    AvgPool3d AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d MaxPooling1D
    MaxPooling2D AveragePooling1D AveragePooling2D Rearrange RepeatVector Resizing Masking ActivityRegularization
    GaussianNoise""".split()
)
# What stands between layers: scores that go in are still scores when they come out, not probabilities.
BENDING_LAYERS = frozenset(
    """ReLU LeakyReLU PReLU ELU SELU GELU SiLU Tanh BatchNorm1d BatchNorm2d BatchNorm3d BatchNorm LayerNorm
    BatchNormalization LayerNormalization""".split()
)
CONTAINERS = frozenset({"Sequential", "SequentialModel"})
LAYER_LISTS = frozenset({"ModuleList", "ParameterList", "LayerList"})
# What wraps a function or a model and leaves its result alone.
WRAPPERS = frozenset(
    """jit vmap pmap pjit remat checkpoint_wrapper compile DataParallel DistributedDataParallel DDP FSDP
    FullyShardedDataParallel script trace function filter_jit filter_vmap filter_pmap deepcopy no_grad inference_mode
    shard_map named_call custom_jvp custom_vjp cached_partial split_rngs wraps autocast fit_transform
    TimeDistributed weight_norm spectral_norm""".split()
)
# What wraps a function and gives its value with a gradient, or the gradient alone.
GRADIENTS = {
    "value_and_grad": True, "filter_value_and_grad": True, "grad": False, "filter_grad": False, "grad_and_value": False,
}  # fmt: skip
# Haiku's, which make an object with `init` and `apply` of a function.
TRANSFORMS = frozenset({"transform", "transform_with_state", "without_apply_rng"})
# Methods that return the object they're called on.
SELF_METHODS = frozenset(
    """to cuda cpu eval train half double float bfloat16 requires_grad_ apply share_memory type xpu npu mps to_empty
    compile_module set_default_dtype""".split()
)
# Methods that call a model.
MODEL_METHODS = frozenset({"forward", "predict", "predict_on_batch", "__call__", "call"})
# The last layer of ready-made models, where programs put their own.
HEADS = ("fc", "classifier", "head", "heads", "last_linear", "_fc", "output_layer")


def is_keras(path: str) -> bool:
    """Whether a symbol is Keras's, under any of its roofs."""
    return path.startswith(KERAS)


def last(path: str) -> str:
    """The last part of a dotted path."""
    return path.rpartition(".")[2]
