"""What `import mcu_build` offers, and what the verbs, pytest and SCons stand on.

Neither importing this nor a build whose stages are cached imports torch.
"""

import logging
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

import numpy as np
import numpy.typing as npt

from mcu_build.board import Board, find_board
from mcu_build.cache import Cache, hash_text, own_code, own_data
from mcu_build.errors import Exit, McuError
from mcu_build.failures import reported
from mcu_build.flash import sign as signing
from mcu_build.flash.via import Via
from mcu_build.fronts.options import BuildOptions, Keywords, SourceKeywords
from mcu_build.progress import Mark, Progress, Silent
from mcu_build.quality.verdict import too_noisy
from mcu_build.report.collect import of_build
from mcu_build.report.report import Report
from mcu_build.simulate.outcome import Outcome
from mcu_build.simulate.run import Sim
from mcu_build.stages import manifest as manifests
from mcu_build.stages import pipeline
from mcu_build.stages.manifest import Manifest
from mcu_build.stages.pipeline import Built, Generated
from mcu_build.stages.request import Request, request_for
from mcu_build.terminal import StageTimes
from mcu_build.vectors import pack as archives
from mcu_build.vectors.npz import Array
from mcu_build.verify import prove
from mcu_build.verify.prove import Proof

if TYPE_CHECKING:
    from mcu_build.export.make import Exported, Format
    from mcu_build.frontend.image_price import Board as TunedBoard
    from mcu_build.image.size import Size
    from mcu_build.profile.measure import Profile
    from mcu_build.profile.on_device import LayerCycles
    from mcu_build.report.fitting import Fitting
    from mcu_build.stages.together import Schedule

TIMEOUT = 300.0
T = TypeVar("T")

_LOG = logging.getLogger("mcu_build")


def build(
    model: str | Path,
    *,
    in_slot: bool = False,
    image: str | Path | None = None,
    progress: Progress | None = None,
    **options: Unpack[Keywords],
) -> "Firmware":
    """Make firmware for a board from a model.py, .pt2 or .pte, or find that it is made already.

    `options` are those of `mcu-build build`, `board` among them: docs/command.md lists them. `image` is a
    test image that another build system has made with the same options: it is run instead of one that would
    be made now. `in_slot` links the image for a slot of MCUboot's. `progress` receives stages and warnings;
    without it they go to the logger "mcu_build". McuError says what is wrong with the model or the board.
    """
    request = request_for(model, BuildOptions.of(**options), in_slot=in_slot)
    listener = progress or _own_progress()
    with reported():
        if image is None:
            built = pipeline.build(request, Cache(), listener)
        else:
            built = pipeline.adopt(request, Path(image), Cache(), listener)
    return Firmware(built, request.board, listener)


def generate(
    model: str | Path,
    *,
    output: str | Path,
    name: str | None = None,
    progress: Progress | None = None,
    **options: Unpack[SourceKeywords],
) -> Generated:
    """Write a model's C++ into the folder `output` for another build system. Only what differs is touched.

    `name` is the model's in C++, else that of its file. `options` are those of `mcu-build generate`.
    `dependencies` of the result are files to watch.
    """
    request = request_for(model, BuildOptions.of(**options), Path(output))
    with reported():
        return pipeline.generate(request, name, Path(output), Cache(), progress or _own_progress())


def export(
    model: str | Path,
    *,
    output: str | Path,
    format: "Format" = "folder",
    version: str = "1.0.0",
    name: str | None = None,
    progress: Progress | None = None,
    **options: Unpack[SourceKeywords],
) -> "Exported":
    """Write a model with its kernels, header, self-test and README into the folder `output`.

    It needs nothing else of ours. `format` is that of a build system or a vendor's tool, `version` what its
    manifest tells, as 1.2.3. `options` are those of `mcu-build export`. An earlier export there is replaced.
    McuError where the folder holds something else.
    """
    from mcu_build.export.make import check_options
    from mcu_build.export.make import export as make_export

    wanted = BuildOptions.of(**options)
    check_options(wanted, format)
    request = request_for(model, wanted, Path(output))
    with reported():
        return make_export(request, name, Path(output), format, version, Cache(), progress or _own_progress())


def fit(
    model: str | Path,
    *,
    measure: bool = False,
    flash: int | None = None,
    cycles: int | None = None,
    int4_sqnr: float | None = None,
    progress: Progress | None = None,
    **options: Unpack[Keywords],
) -> tuple["Fitting", ...]:
    """How little RAM a model can do with: plans from the quickest to the smallest.

    `options` are those of `mcu-build fit`. The first one that fits is what a build takes. None is built
    without `measure`, or a limit of `flash` bytes or of modelled `cycles`; where no image is small enough for
    the flash, there are plans with `optimize="size"`, too, and, where `int4_sqnr` decibels are left, with
    weights of 4 bits. `report.fitting.choose` picks.
    """
    from mcu_build.fitting import search
    from mcu_build.report.fitting import Limits

    limits = Limits(flash, cycles, int4_sqnr)
    return search(model, limits, measure, _priced, TIMEOUT, progress or _own_progress(), options)


def schedule(
    models: Sequence[str | Path], when: str, *, progress: Progress | None = None, **options: Unpack[Keywords]
) -> "Schedule":
    """One arena for several models, of which those of a phase of `when` ("wake; wake, kws") run together.

    `ram` among the options are the bytes that it may take.
    """
    from mcu_build.stages.together import scheduled

    settings = BuildOptions.of(**options)
    requests = [request_for(model, replace(settings, ram=None)) for model in models]
    with reported():
        return scheduled(requests, when, settings.ram, progress or _own_progress())


def priced(model: str | Path, **options: Unpack[Keywords]) -> "TunedBoard":
    """What images of a model.py take with one `precision` or another, for `tune`. No build folder is left."""
    return _priced(request_for(model, BuildOptions.of(**options)))


def _priced(request: Request) -> "TunedBoard":
    from mcu_build.frontend.image_price import Board as TunedBoard
    from mcu_build.frontend.image_price import Price

    def price(precision: Mapping[str, str]) -> Price:
        cache, silent = Cache(), Silent()
        cache.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.root) as scratch, reported():
            wanted = replace(request, precision=precision, build_root=Path(scratch))
            made = Firmware(pipeline.build(wanted, cache, silent), request.board, silent)
            cycles = _or_note(lambda: made.cycles, "no cycles", "profile", [])
            return Price(made.flash, made.ram, cycles)

    words = request.board.model_dump_json(), repr(request.npu), request.toolchain, request.options.optimize
    code = own_code(), own_data("firmware", "cmake", "toolchains")
    return TunedBoard(hash_text(*words, *code), price)


def board_for(model: str | Path, board: str) -> Board:
    """The board called `board`, or in that .toml file; a project's own lie in boards/ beside its model."""
    return find_board(board, Path(model).resolve().parent)


@dataclass(frozen=True)
class Run:
    """One boot of the test image: an array [vectors, ...] for each output, and what came with them.

    `outcome` has the console and, in bytes, the stack that was used.
    """

    outputs: tuple[Array, ...]
    outcome: Outcome


@dataclass(frozen=True, repr=False)
class Firmware:
    """A model's firmware for a board, in the build folder `folder`."""

    built: Built
    board: Board
    progress: Progress

    def __repr__(self) -> str:
        return f"<firmware of {self.manifest.name} for {self.board.id}>"

    def _repr_html_(self) -> str:
        return self.report(run=False)._repr_html_()

    @property
    def folder(self) -> Path:
        """The build folder, with an artefact of every stage."""
        return self.built.folder

    @property
    def manifest(self) -> Manifest:
        """What the build made: artefacts, sizes, inputs, outputs, operators."""
        return self.built.manifest

    @property
    def flash(self) -> int:
        """Bytes of flash that the image takes. `manifest.flash` has the parts."""
        return self.manifest.flash["total"]

    @property
    def ram(self) -> int:
        """Bytes of RAM that the image takes: arena, variables, stack. `manifest.ram` has the parts."""
        return self.manifest.ram["total"]

    @cached_property
    def instructions(self) -> int:
        """Instructions of one inference, counted exactly in QEMU: `profile`'s total."""
        return self.profile().total.instructions

    @cached_property
    def cycles(self) -> int | None:
        """Modelled cycles of one inference: `profile`'s total. None where the core has no model."""
        return self.profile().total.cycles

    @cached_property
    def stack(self) -> int:
        """Bytes of stack that were used over the model's own vectors; 0 for the host, which is not asked."""
        return self.execute().outcome.stack_used

    def path(self, artefact: str) -> Path:
        """The file of an artefact such as 'elf', 'hex', 'map', 'plan'. ValueError lists them."""
        if artefact not in self.manifest.artefacts:
            raise ValueError(f"no artefact {artefact!r}; there are {', '.join(self.manifest.artefacts)}")
        return self.manifest.path(self.folder, artefact)

    def size(self) -> "Size":
        """Where flash and RAM go, by region and by symbol. Rows add up to the image."""
        from mcu_build.image.size import measure
        from mcu_build.report.notebook import ShownSize

        self._check_current()
        return ShownSize.of(measure(self.path("elf"), self.path("map"), self.board))

    def report(
        self,
        *,
        run: bool = True,
        budgets: Mapping[str, float | None] | None = None,
        vectors: int | None = None,
        timeout: float = TIMEOUT,
        sim: Sim | None = None,
    ) -> Report:
        """Everything about the image in one object, with a page (`_repr_html_`); exports are in report/.

        With `run` the image is profiled, and proven over the model's own vectors, the first so many. Where a
        part cannot be had, because nothing here simulates the board for one, the report has a note instead.
        `budgets` are limits by name, `{"max_flash": 65536}`, and become bars.
        """
        size, profile, proof = self.size(), None, None
        notes = [] if run else ["The image was not run: no cycles, no proof."]
        if run:
            profile = _or_note(lambda: self.profile(timeout=timeout), "no profile", "profile", notes)
            proof = _or_note(
                lambda: self.prove(vectors, timeout=timeout, sim=sim), "not proven", "test", notes
            )
        return of_build(self.built, self.board, size, profile, proof, budgets, notes)

    def check_budgets(
        self, max_flash: int | None = None, max_ram: int | None = None, min_sqnr: float | None = None
    ) -> None:
        """McuError (status 6) where the image takes more bytes than it may, or int8 loses more (in dB)."""
        over = [
            f"{self.manifest.name}: {kind}: {used:,} bytes, the budget is {limit:,}"
            for kind, used, limit in (("flash", self.flash, max_flash), ("ram", self.ram, max_ram))
            if limit is not None and used > limit
        ]
        if over:
            peak = self.manifest.memory["peak"]
            raise McuError("\n".join(over), f"`mcu-build size` lists where it goes. {peak}", Exit.BUDGET)
        if min_sqnr is not None:
            noisy = too_noisy(self.manifest.name, self.built.lowered.quality, min_sqnr)
            if noisy:
                raise noisy

    def run(self, *inputs: npt.ArrayLike, timeout: float = TIMEOUT, sim: Sim | None = None) -> Any:
        """The outputs for inputs in the model's own shape, or in [vectors, *shape] for several in one boot.

        An array where the model has one output, else a tuple of them; shaped as the inputs are, with
        vectors or without. McuError where inputs do not fit, and where the firmware fails (status 4) or
        does not end in `timeout` seconds (5).
        """
        ports = self.manifest.inputs
        arrays = [np.asarray(array) for array in inputs]
        single = all(list(array.shape) == port["shape"] for array, port in zip(arrays, ports, strict=False))
        batch = [array[None] if single else array for array in arrays]
        outputs = self.execute(batch, timeout=timeout, sim=sim).outputs
        results = tuple(array[0] if single else array for array in outputs)
        return results[0] if len(results) == 1 else results

    def execute(
        self,
        inputs: Sequence[Array] | None = None,
        *,
        timeout: float = TIMEOUT,
        sim: Sim | None = None,
        via: Via | None = None,
    ) -> Run:
        """Run over arrays [vectors, ...], without them over the model's own; outputs, console and stack.

        In a simulator, or on the board that `via` leads to. A stream also takes recordings, [recordings, ...]
        with more samples than a step: it begins anew with each, and outputs are those of recordings.
        """
        self._check_current()
        ports, stream, steps = self.manifest.inputs, self.manifest.stream, None
        if inputs is None:
            arrays, starts = prove.own_inputs(self.built), prove.own_starts(self.built)
        else:
            arrays, starts = list(inputs), None
            if stream:
                arrays, steps = archives.stepped(self.manifest.name, arrays, ports, stream)
            archives.check_inputs(self.manifest.name, arrays, ports)
            if steps:
                starts = np.arange(len(arrays[0])) % steps == 0
        with self.progress.stage("device" if via else "simulate"):
            outputs, outcome = prove.run(self.built, self.board, arrays, timeout, sim, via, starts)
        if stream and steps:
            pairs = zip(outputs, stream["outputs"], strict=True)
            outputs = [archives.joined(array, time, steps) for array, time in pairs]
        return Run(tuple(outputs), outcome)

    def prove(
        self,
        vectors: int | None = None,
        *,
        timeout: float = TIMEOUT,
        sim: Sim | None = None,
        via: Via | None = None,
    ) -> Proof:
        """Compare the outputs over the model's own vectors, the first so many, with the quantized program's.

        The proof is to be judged: `test` does so.
        """
        self._check_current()
        with reported():
            return prove.test(self.built, self.board, vectors, timeout, Cache(), self.progress, sim, via)

    def test(
        self,
        vectors: int | None = None,
        *,
        min_accuracy: float | None = None,
        min_sqnr: float | None = None,
        max_drop: float | None = None,
        timeout: float = TIMEOUT,
        sim: Sim | None = None,
    ) -> Proof:
        """Like `prove`, but McuError where the proof fails: status 4, or 6 for too little accuracy.

        `min_accuracy` is a share, `min_sqnr` in dB, `max_drop` in points of accuracy below the float model.
        """
        proof = self.prove(vectors, timeout=timeout, sim=sim)
        failure = proof.failure(min_accuracy, min_sqnr, max_drop)
        if failure:
            raise failure
        return proof

    def sign(self, order: signing.Order) -> dict[str, Path]:
        """Sign the image, built with `in_slot`, for MCUboot: header, image, signature.

        Returns the files: `signed` for the first slot and, where it is ordered, `update` for the second;
        `program` for a model in a slot of MCUboot's, which needs this version of the application.
        """
        files = signing.signed_files(self.path("bin"), self.board, order)
        if (self.manifest.memory.get("program_slot") or {}).get("single"):
            first = replace(order, needs=order.version)
            files["program"] = signing.sign(self.path("program_slot"), self.board, first)
        return files

    def profile(self, *, timeout: float = TIMEOUT) -> "Profile":
        """Instructions of one inference by layer and kernel, counted exactly in QEMU."""
        from mcu_build.profile import measure
        from mcu_build.report.notebook import ShownProfile

        self._check_current()
        inputs = prove.own_inputs(self.built)
        with self.progress.stage("profile"):
            return ShownProfile.of(measure.profile(self.built, self.board, inputs, timeout, Cache()))

    def profile_device(self, via: Via, *, timeout: float = TIMEOUT) -> tuple["LayerCycles", ...]:
        """Cycles of each layer of one inference, on the board that `via` leads to."""
        self._check_current()
        inputs = prove.own_inputs(self.built)
        with self.progress.stage("profile"):
            return prove.layer_cycles(self.built, self.board, inputs, timeout, via)

    def _check_current(self) -> None:
        """McuError where another model or another state of it was built into the folder meanwhile."""
        if not self.manifest.key:
            return  # adopted
        manifest = manifests.read(self.folder)
        if manifest is None or manifest.key != self.manifest.key:
            raise McuError(
                f"{self.folder}: built again since, from something else",
                "Build again, or give models of one name a `build_dir` each.",
            )


def _or_note(find: Callable[[], T], missing: str, verb: str, notes: list[str]) -> T | None:
    """What `find` gives, as `verb` does; where nothing here can run the image, None and a note why.

    McuError where the image was run and failed (status 4), or did not end (5).
    """
    try:
        return find()
    except McuError as error:
        if error.exit_code in (Exit.FIRMWARE, Exit.TIMEOUT):
            raise
        # The report has no such option; the verbs that find the same do.
        hint = error.hint.replace("Add --on-device", f"Use `mcu-build {verb} --on-device`")
        notes.append(f"{missing}: {error.message}. {hint}")
        return None


def _own_progress() -> Progress:
    """Where the user sits in front of it, in a notebook or at a prompt, the command's; else the logger."""
    ipython = sys.modules.get("IPython")
    if hasattr(sys, "ps1") or (ipython is not None and ipython.get_ipython() is not None):
        return StageTimes()
    return _Logged()


class _Logged:
    """Progress for the logger."""

    @contextmanager
    def stage(self, name: str) -> Iterator[Mark]:
        """Log a stage at its end."""
        mark = Mark()
        yield mark
        _LOG.info("%s%s", name, " (cached)" if mark.cached else "")

    def step(self, text: str) -> None:
        """Log what a stage is doing, for who looks closely."""
        _LOG.debug("%s", text)

    def warn(self, text: str) -> None:
        """Log a warning."""
        _LOG.warning("%s", text)
