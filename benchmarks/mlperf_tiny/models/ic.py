"""MLPerf Tiny, image classification: ResNet8, random weights."""

from _zoo import balanced, varied  # isort: skip  (finds the zoo)
import resnet8

calibration = resnet8.calibration
model = balanced(varied(resnet8.ResNet8().eval()), calibration)
example_inputs = resnet8.example_inputs
