"""`--format cmsis-pack`: a pack for Keil MDK, CMSIS-Toolbox and other tools of CMSIS.

References: Open-CMSIS-Pack specification 1.7 (PACK.xsd).
"""

import io
import zipfile
from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from mcu_build.export.contents import Contents
from mcu_build.export.readme import readme

VENDOR = "mcu-build"
_DAY = "2026-01-01"
# Cores as the schema writes them.
_CORES = {"cortex-m0plus": "Cortex-M0+"}
_FPU = {"none": "NO_FPU", "single": "SP_FPU", "double": "DP_FPU"}
_PDSC = """\
<?xml version="1.0" encoding="UTF-8"?>
<package schemaVersion="1.7.7" xmlns:xs="http://www.w3.org/2001/XMLSchema-instance" \
xs:noNamespaceSchemaLocation="https://raw.githubusercontent.com/Open-CMSIS-Pack/Open-CMSIS-Pack-Spec/v1.7.7/schema/PACK.xsd">
  <name>{name}</name>
  <vendor>{vendor}</vendor>
  <description>The model {name}, compiled to C++ for {core}</description>
  <url>https://example.com/</url>
  <license>LICENSE</license>
  <releases>
    <release version="{version}" date="{day}">As mcu-build exported it</release>
  </releases>
  <conditions>
    <condition id="core">
      <description>{core}</description>
      <require Dcore="{core}"{features}/>
    </condition>
  </conditions>
  <components>
    <component Cclass="Machine Learning" Cgroup="Model" Csub="{name}" Cversion="{version}" condition="core">
      <description>The model {name}: an arena of {arena} bytes, constants of {constants}</description>
      <files>
        <file category="doc" name="README.md"/>
        <file category="include" name="src/"/>
{files}      </files>
    </component>
    <component Cclass="Machine Learning" Cgroup="Self-test" Csub="{name}" Cversion="{version}" \
condition="core">
      <description>Test vectors of {name}, and what differs from them</description>
      <files>
        <file category="include" name="test/"/>
{tests}      </files>
    </component>
  </components>
</package>
"""
_USAGE = """\
`{pack}` beside this page is the pack: `cpackget add {pack}`, or *Pack Installer > File > Import*. Then
choose the component
*Machine Learning: Model: {name}*, and *Machine Learning: Self-test: {name}* with your `main` calling
`{name}_selftest()`. Set the language of C++ files to gnu++17, without exceptions and RTTI; the tool gives
core and FPU.

"""


def files(contents: Contents) -> dict[str, bytes]:
    """The pack, and its files by path."""
    pack = f"{VENDOR}.{contents.name}.{contents.version}.pack"
    texts = {
        f"{VENDOR}.{contents.name}.pdsc": pdsc(contents),
        **{f"src/{path}": text for path, text in contents.tree.items()},
        **{f"test/{path}": text for path, text in contents.test.items()},
        "README.md": readme(contents, _USAGE.format(pack=pack, name=contents.name), "test/"),
    }
    contents_of = {path: text.encode() for path, text in texts.items()}
    return {**contents_of, pack: _zip({**contents_of, "LICENSE": contents.license.encode()})}


def pdsc(contents: Contents) -> str:
    """The pack's description."""
    sources = [("header", path) for path in contents.headers]
    sources += [("sourceCpp", path) for path in contents.sources]
    tests = [path for path in contents.test if not path.endswith("_main.c")]
    features = f' Dfpu="{_FPU[contents.fpu]}"'
    features += ' Dmve="FP_MVE"' if "mve" in contents.features else ""
    features += ' Ddsp="DSP"' if "dsp" in contents.features and contents.core == "cortex-m33" else ""
    return _PDSC.format(
        name=contents.name,
        vendor=VENDOR,
        version=escape(contents.version),
        day=_DAY,
        core=_CORES.get(contents.core, contents.core.title()),
        features=features,
        arena=contents.sizes.arena,
        constants=contents.sizes.constants,
        files="".join(_file(category, f"src/{path}") for category, path in sources),
        tests="".join(
            _file("header" if path.endswith(".h") else "sourceC", f"test/{path}") for path in tests
        ),
    )


def _file(category: str, path: str) -> str:
    return f"        <file category={quoteattr(category)} name={quoteattr(path)}/>\n"


def _zip(members: Mapping[str, bytes]) -> bytes:
    """The same bytes for the same members: nothing is compressed, which versions of zlib do differently."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for path in sorted(members):
            info = zipfile.ZipInfo(path)
            info.external_attr = 0o644 << 16
            archive.writestr(info, members[path])
    return stream.getvalue()
