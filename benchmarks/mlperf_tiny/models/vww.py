"""MLPerf Tiny, visual wake words: MobileNetV1-0.25, random weights."""

from _zoo import balanced, varied  # isort: skip  (finds the zoo)
import mobilenet_v1_025

calibration = mobilenet_v1_025.calibration
model = balanced(varied(mobilenet_v1_025.MobileNetV1().eval()), calibration)
example_inputs = mobilenet_v1_025.example_inputs
