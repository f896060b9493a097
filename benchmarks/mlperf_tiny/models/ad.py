"""MLPerf Tiny, anomaly detection: autoencoder, random weights."""

from _zoo import balanced, varied  # isort: skip  (finds the zoo)
import autoencoder

calibration = autoencoder.calibration
model = balanced(varied(autoencoder.Autoencoder().eval()), calibration)
example_inputs = autoencoder.example_inputs
