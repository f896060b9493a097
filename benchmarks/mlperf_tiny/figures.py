"""What our figures stand beside: the goals, and the same four nets with interpreters and CMSIS-NN.

The field's were measured in QEMU 7.2, one inference, int8 inputs and outputs, random weights; the best of gcc
12.2 and clang 19.1. Counts are million instructions, RAM and flash bytes.
"""

from collections.abc import Mapping

MODELS = ("kws", "vww", "ic", "ad")
Row = tuple[float, float, float, float]  # in the order of MODELS

# Core -> what -> figures. A core that is not here has no figures of its own.
INSTRUCTIONS: Mapping[str, Mapping[str, Row]] = {
    "cortex-m55": {
        "goal": (0.70, 2.4, 2.0, 0.042),
        "ExecuTorch + CMSIS-NN": (1.80, 6.27, 4.58, 0.0649),
        "TensorFlow Lite Micro + CMSIS-NN": (1.76, 6.33, 4.65, 0.0632),
    },
    "cortex-m4": {
        "goal": (4.0, 12.0, 17.5, 0.33),
        "ExecuTorch + CMSIS-NN": (8.30, 24.1, 29.9, 0.582),
        "TensorFlow Lite Micro + CMSIS-NN": (7.70, 24.1, 29.9, 0.583),
    },
    "cortex-m7": {"goal, as Cortex-M4": (4.0, 12.0, 17.5, 0.33)},
    "cortex-m33": {"goal, as Cortex-M4": (4.0, 12.0, 17.5, 0.33)},
    # Goals: 0.6 of CMSIS-NN, which was measured as docs/cmsis-nn.md says.
    "cortex-m3": {
        "goal": (6.65, 19.2, 23.8, 0.572),
        "CMSIS-NN v7.0.0-43": (11.08, 32.08, 39.61, 0.953),
    },
    "cortex-m0": {
        "goal": (15.3, 44.6, 58.6, 1.054),
        "CMSIS-NN v7.0.0-43": (25.46, 74.40, 97.65, 1.756),
    },
}
# A vector instruction takes two cycles on the Cortex-M55: each counted twice.
VECTOR_TWICE: Mapping[str, Mapping[str, Row]] = {
    "cortex-m55": {
        "goal": (1.2, 4.2, 3.7, 0.075),
        "CMSIS-NN, clang": (2.80, 9.18, 7.20, 0.107),
    },
}
RAM: Mapping[str, Row] = {
    "goal": (9_000, 38_000, 35_000, 800),
    "ExecuTorch, planned + method pool": (31_300, 103_000, 61_800, 5_800),
    "TensorFlow Lite Micro, arena": (27_300, 100_800, 55_000, 9_300),
}
FLASH: Mapping[str, Row] = {
    "goal": (12 * 1024, 12 * 1024, 12 * 1024, 6 * 1024),
    "ExecuTorch, Cortex-M55, smallest of all flags": (38_200, 39_300, 34_900, 19_100),
    "ExecuTorch, Cortex-M4, smallest of all flags": (41_100, 42_200, 38_100, 21_000),
}
STARTUP: Mapping[str, Row] = {
    "goal": (2_000, 2_000, 2_000, 2_000),
    "ExecuTorch, Cortex-M55, load and init": (134_000, 341_000, 154_000, 71_000),
}
# Instructions for one multiply-accumulate at the least: one of Helium's and one load for 16; SMLAD with its
# share of loads and widening; MLA; MULS and ADDS. M33 and M7 run what the M4 runs.
BOUNDS: Mapping[str, float] = {"cortex-m55": 0.125, "cortex-m4": 1.0, "cortex-m3": 1.0, "cortex-m0": 2.0}
# Why a kernel takes more than twice that. Sixteen outputs of a tile of Helium's take 46 instructions to
# rescale and store.
REASONS: Mapping[str, str] = {
    "mve_dense_tiles_s8": "27 products of 32 lanes: 0.13. Rescaling: 0.11. The rest brings windows of three "
    "rows of nine bytes together, for eight channels",
    "mve_image_tiles_s8": "16 products a sum: rescaling takes 0.18, the sums 0.11",
    "mve_depthwise_windows_s8": "nine products of 16 lanes, a quarter of a load: 0.14, with a stride of "
    "two a load: 0.22. Rescaling four outputs: 0.28. The rest copies rows and begins channels",
    "mve_linear_s8": "two to twelve outputs: the call and the rescaling are most of it",
    "dsp_conv2d_bytes": "27 products of 28: 0.91. Rescaling and storing: 0.31. The rest brings "
    "windows of three rows of nine bytes together, for eight channels",
    "dsp_depthwise_3x3_relu": "no product shares its pixel with another channel: 69 instructions for 36. "
    "Rescaling for nine products: 0.7. The rest finds nine pointers for a pixel",
    "dsp_linear_half_away": "two outputs, of four that are made: 2.1",
    "thumb_conv2d": "27 products of 28: 2.1. Rescaling: 0.9 on the M0, which has no 64-bit product. The rest "
    "brings windows of three rows of nine bytes together, for eight channels",
    "thumb_depthwise": "a product is a copy, a multiplication and an addition, and three of them share a "
    "pixel: 3.5. Rescaling and storing, on the M0 25 instructions, is for nine products",
    "thumb_linear": "two outputs, of four that are made: 7.5",
}
