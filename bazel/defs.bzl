"""Models and firmware as Bazel targets: mcu_model, mcu_firmware, mcu_firmware_test. See docs/bazel.md."""

load("//bazel/private:firmware.bzl", _mcu_firmware = "mcu_firmware")
load("//bazel/private:model.bzl", _mcu_model = "mcu_model")
load("//bazel/private:providers.bzl", _McuFirmwareInfo = "McuFirmwareInfo", _McuModelInfo = "McuModelInfo")
load("//bazel/private:test.bzl", _mcu_firmware_test = "mcu_firmware_test")

mcu_model = _mcu_model
mcu_firmware = _mcu_firmware
mcu_firmware_test = _mcu_firmware_test
McuModelInfo = _McuModelInfo
McuFirmwareInfo = _McuFirmwareInfo
