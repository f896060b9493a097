"""MLPerf Tiny, keyword spotting: DS-CNN, random weights."""

from _zoo import balanced, varied  # isort: skip  (finds the zoo)
import ds_cnn

calibration = ds_cnn.calibration
model = balanced(varied(ds_cnn.DsCnn().eval()), calibration)
example_inputs = ds_cnn.example_inputs
