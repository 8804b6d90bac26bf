"""Installing the engine's packages with pip: from which index PyTorch comes, what pip says, and why it failed.

Imports the standard library, ``engine`` (which starts pip) and ``core``'s errors and progress only. pip's own settings
(``PIP_*``, ``pip.conf``) hold; nothing outside the given environment is changed.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import TerrainError
from ..core.progress import Progress
from . import engine

TORCH_INDEXES = {"cpu": "https://download.pytorch.org/whl/cpu", "cuda": "https://download.pytorch.org/whl/cu130"}
"""PyTorch's own package indexes for each kind of build."""

CONFIGURED_INDEX = "the package index configured for pip"

REACH_LIMIT_S = 20.0
EXPECTED_PACKAGES = 40
"""About how many packages are installed, dependencies included; only the progress bar depends on it."""

_CUDA_PACKAGE = re.compile(r"\s*(Collecting|Downloading|Using cached) (nvidia|cuda)[-_]", re.IGNORECASE)
_TORCH_WHEEL = re.compile(r"\s*Downloading torch-\S+\.whl \((\d+(?:\.\d+)?) (MB|GB)\)")
CPU_BUILD_LIMIT_MB = 350.0
"""Wheels of PyTorch for CPU have about 200 MB, those for CUDA 500 MB and more, and gigabytes of other wheels beside."""

_NOT_FOUND = re.compile(r"No matching distribution found for ([A-Za-z0-9_.-]+)")
_WHEEL = re.compile(r"\s*(Downloading|Using cached|Processing) (\S+\.(?:whl|tar\.gz)|\S+)(?: \(([^)]*)\))?")
_NOISE = re.compile(
    r"\s*(Requirement already satisfied|Preparing metadata|\[notice\]|Looking in links|Ignoring .* markers|"
    r"WARNING: Location .* is ignored|Attempting uninstall|Found existing|(Successfully u|U)ninstall)|\s*$"
)


@dataclass(frozen=True)
class Order:
    """What to install and from where.

    Attributes
    ----------
    kind
        ``cpu`` or ``cuda``: the build of PyTorch.
    torch_index
        Index of that build; empty: PyTorch's own.
    wheels
        Folder of wheel files, instead of any index; empty: from the index.
    proxy
        Address of an HTTP proxy, login included, or empty for pip's own settings.

    """

    kind: str = "cpu"
    torch_index: str = ""
    wheels: str = ""
    proxy: str = ""

    @property
    def index(self) -> str:
        """Address of PyTorch's index, without a slash at its end."""
        return (self.torch_index or TORCH_INDEXES[self.kind]).rstrip("/")


def kind_of_index(address: str) -> str:
    """``cpu`` or ``cuda`` where the last part of an index address names a build of PyTorch, else empty."""
    last = address.rstrip("/").rsplit("/", 1)[-1]
    if last == "cpu":
        return "cpu"
    return "cuda" if re.fullmatch(r"cu\d+", last) else ""


@dataclass(frozen=True)
class _Source:
    """A place that may have PyTorch: how people call it, pip's options for it, and what to ask it for."""

    label: str
    options: tuple[str, ...]
    torch: str
    cuda_allowed: bool


class Installer:
    """pip in one environment.

    Parameters
    ----------
    python
        Interpreter of the environment.
    requirements
        File of pinned packages; the line ``torch==...`` is there.
    scratch
        Folder for pip's temporary files, on the disk of the environment; the caller removes it.

    """

    def __init__(self, python: Path, requirements: Path, scratch: Path) -> None:
        self._python, self._requirements, self._scratch = python, requirements, scratch

    def install(self, order: Order, progress: Progress) -> str:
        """Install everything; returns where PyTorch came from.

        Raises
        ------
        TerrainError
            One or two sentences on what went wrong and what to do.

        """
        missing: TerrainError | None = None
        for source in self._sources(order, progress):
            progress.info(f"PyTorch is taken from {source.label}.")
            try:
                self._attempt(source, order, progress)
            except _NotThere as error:
                missing = missing or error
                progress.info(f"{source.torch} is not to be had from {source.label}.")
                continue
            return source.label
        raise missing or TerrainError("No package source was given; give an index or a folder of wheels.")

    def _sources(self, order: Order, progress: Progress) -> Iterator[_Source]:
        """Places for PyTorch, best first; asking for the next one means that the last one had none."""
        pinned = self.torch_pin()
        if order.wheels:
            yield _Source(f"the folder {order.wheels}", ("--no-index", "--find-links", order.wheels), pinned, True)
            return
        exact = pinned + _local_tag(order)
        reason = self._why_unreachable(order, progress)
        if not reason:
            options = ("--extra-index-url", order.index)
            yield _Source(f"the index {order.index}", options, exact, order.kind == "cuda")
        else:
            progress.warn(f"The index {order.index} was not reached ({reason}); {CONFIGURED_INDEX} is used instead.")
        if order.kind == "cuda" and not sys.platform.startswith("linux"):
            raise TerrainError(
                f"PyTorch for CUDA is found at {order.index} only, which was not reached or has no fitting build. "
                "Try again when it is, give another index, or take a folder of wheels."
            )
        if exact != pinned:
            yield _Source(CONFIGURED_INDEX, (), exact, order.kind == "cuda")
        yield _Source(CONFIGURED_INDEX, (), pinned, order.kind == "cuda")

    def torch_pin(self) -> str:
        """The pinned version of PyTorch as pip writes it, such as ``torch==2.13.0``."""
        for line in self._requirements.read_text(encoding="utf-8").splitlines():
            if line.startswith("torch=="):
                return line.split(";")[0].strip()
        raise TerrainError(f"{self._requirements} pins no version of torch; install the plugin again.")

    def _why_unreachable(self, order: Order, progress: Progress) -> str:
        """Empty if PyTorch's index answers, else the reason in a few words.

        pip is told to read the index page as a list of requirements. It cannot, but with its own proxy and certificate
        settings it has to fetch the page first, and what it complains of tells whether that worked.
        """
        progress.report(0.01, "Looking for PyTorch's package index")
        until_s = time.monotonic() + REACH_LIMIT_S
        options = ["--no-deps", "--retries", "0", "--timeout", "8", "--dest", str(self._scratch)]
        command = ["download", *options, "--requirement", f"{order.index}/torch/"]
        lines: list[str] = []
        self._pip(command, order, lines.append, lambda: progress.cancelled() or time.monotonic() > until_s)
        progress.check()
        text = "\n".join(lines)
        if "Invalid requirement" in text or "at least one requirement" in text:
            return ""
        return _reach_trouble(text)

    def _attempt(self, source: _Source, order: Order, progress: Progress) -> None:
        log = _Log(progress, self._scratch, source.cuda_allowed)
        command = ["install", "--no-input", *source.options, "--requirement", str(self._requirements), source.torch]
        code = self._pip(command, order, log.take, log.must_stop)
        progress.check()
        if log.cuda_seen:
            raise TerrainError(
                f"{CONFIGURED_INDEX[0].upper()}{CONFIGURED_INDEX[1:]} offers PyTorch with CUDA only, gigabytes that a "
                "processor does not need, so it was not installed. Give an index with CPU builds or a folder of "
                "wheels, or choose CUDA."
            )
        if code != 0:
            raise _failure(log.lines, order, self._python)

    def _pip(self, arguments: list[str], order: Order, on_line: engine.OnLine, stop: engine.IsCancelled) -> int:
        variables = engine.clean_environment(pip=True)
        variables.update(TMPDIR=str(self._scratch), TEMP=str(self._scratch), TMP=str(self._scratch))
        variables.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_WARN_SCRIPT_LOCATION="1", PIP_PROGRESS_BAR="off")
        variables.pop("PIP_USER", None)
        variables.pop("PIP_TARGET", None)
        variables.pop("PIP_PREFIX", None)
        if order.proxy:
            variables["PIP_PROXY"] = order.proxy
        return engine.stream([str(self._python), "-I", "-m", "pip", *arguments], on_line, stop, variables)


class _NotThere(TerrainError):
    """A source has no fitting PyTorch; the next one may."""


class _Log:
    """pip's lines, handed on to the log, and the progress that can be read from them."""

    def __init__(self, progress: Progress, scratch: Path, cuda_allowed: bool) -> None:
        self.lines: list[str] = []
        self.cuda_seen = False
        self._progress, self._scratch, self._cuda_allowed = progress, scratch, cuda_allowed
        self._collected = self._fetched = 0
        self._text, self._download, self._next_s = "Asking for the packages", "", 0.0
        self._installing_since_s = 0.0

    def take(self, line: str) -> None:
        """One line of pip's output."""
        self.lines.append(line)
        if not self._cuda_allowed and _brings_cuda(line):
            self.cuda_seen = True
            return
        if not _NOISE.match(line):
            self._progress.info(line.rstrip())
        self._read(line)
        self._say()

    def must_stop(self) -> bool:
        """Whether pip is to be ended; asked often, so that the bar also moves while pip is silent."""
        if time.monotonic() >= self._next_s and not self._progress.cancelled():
            self._next_s = time.monotonic() + 0.5
            self._say()
        return self.cuda_seen or self._progress.cancelled()

    def _read(self, line: str) -> None:
        wheel = _WHEEL.match(line)
        if line.lstrip().startswith("Collecting "):
            self._collected += 1
            self._text = f"Collecting {line.split()[1]}"
        elif wheel and not wheel.group(2).endswith(".metadata"):
            self._fetched += 1
            name = re.split(r"[/\\]", wheel.group(2))[-1].split("-")[0]
            self._text = f"Fetching {name}"
            self._download = wheel.group(3) or "" if wheel.group(1) == "Downloading" else ""
        elif line.startswith("Installing collected packages"):
            self._installing_since_s, self._text = time.monotonic(), "Unpacking the packages"

    def _say(self) -> None:
        if self._progress.cancelled():
            return
        text = self._text
        if self._installing_since_s:
            waited_s = time.monotonic() - self._installing_since_s
            fraction = 0.7 + 0.28 * waited_s / (waited_s + 25.0)
        else:
            done = min(1.0, (self._collected + self._fetched) / (2.0 * EXPECTED_PACKAGES))
            fraction = 0.05 + 0.6 * done
            if self._download.endswith(("MB", "GB")):
                text = f"{text}: {_size_mb(self._scratch):.0f} MB of {self._download}"
        self._progress.report(fraction, text)


def _brings_cuda(line: str) -> bool:
    """Whether this line of pip's shows that PyTorch with CUDA is coming."""
    wheel = _TORCH_WHEEL.match(line)
    size_mb = float(wheel.group(1)) * (1000.0 if wheel.group(2) == "GB" else 1.0) if wheel else 0.0
    return size_mb > CPU_BUILD_LIMIT_MB or _CUDA_PACKAGE.match(line) is not None


def _size_mb(folder: Path) -> float:
    """Size of the newest unfinished download in pip's temporary files."""
    sizes = [(0.0, 0)]
    for path in folder.glob("pip-unpack-*/*"):
        try:
            about = path.stat()
        except OSError:  # pip has just removed it
            continue
        sizes.append((about.st_mtime, about.st_size))
    return max(sizes)[1] / 1e6


def _local_tag(order: Order) -> str:
    """``+cpu`` or ``+cu130``: the mark by which a build is told from others of the same version."""
    if sys.platform == "darwin":
        return ""
    if order.kind == "cpu":
        return "+cpu"
    return f"+{order.index.rsplit('/', 1)[-1]}" if kind_of_index(order.index) == "cuda" else ""


# ---------------------------------------------------------------------------------------------------------------------
# Why pip failed

_TROUBLES = (
    (
        r"ProxyError|Tunnel connection failed|407 Proxy|Cannot connect to proxy",
        "a proxy refuses the connection",
        "Check the proxy in QGIS's network settings (Settings > Options > Network), or in pip's settings.",
    ),
    (
        r"SSLError|CERTIFICATE_VERIFY_FAILED|certificate verify failed|SSL: ",
        "the secure connection was not trusted",
        "Where your organisation inspects connections, let the environment variable PIP_CERT name its certificate "
        "file; also check this computer's clock.",
    ),
    (
        r"No space left on device|Errno 28|not enough space|WinError 112|Disk quota exceeded",
        "the disk is full",
        "Free some space, or let the environment variable NEURAL_TERRAIN_HOME name a folder on another disk.",
    ),
    (
        r"WinError (5|32)\b|Access is denied|being used by another process|Errno 13|Permission denied",
        "a file is locked or may not be written",
        "Close other QGIS windows and programs that use the engine, then try again.",
    ),
    (
        r"Name or service not known|name resolution|getaddrinfo|No address associated|NewConnectionError|"
        r"Failed to establish a new connection|Network is unreachable|Connection refused",
        "there is no network connection to it",
        "Check the network and the proxy, or take the packages from a folder of wheels.",
    ),
    (
        r"timed out|Timeout|Connection aborted|ConnectionReset|IncompleteRead|ProtocolError",
        "the connection broke off or was too slow",
        "Try again, or take the packages from a folder of wheels.",
    ),
    (
        r"MemoryError|Killed",
        "the computer ran out of memory",
        "Close other programs and try again.",
    ),
)


def _failure(lines: list[str], order: Order, python: Path) -> TerrainError:
    """The exception for pip's failure, from what it said."""
    text = "\n".join(lines)
    for pattern, what, way_out in _TROUBLES:
        if re.search(pattern, text):
            return TerrainError(f"The packages could not be installed, because {what}. {way_out}")
    absent = _NOT_FOUND.search(text)
    if absent:
        return _not_found(absent.group(1), order, python)
    errors = [line.strip() for line in lines if line.strip().upper().startswith("ERROR")] or lines[-1:]
    said = errors[-1].rstrip(".") if errors else "it said nothing"
    return TerrainError(f"pip could not install the packages: {said}. The log above has its whole report.")


def _not_found(name: str, order: Order, python: Path) -> TerrainError:
    kind = _NotThere if name.lower() == "torch" else TerrainError
    if order.wheels:
        return kind(
            f"The folder {order.wheels} has no fitting wheel of {name}. Fill it on a computer of the same system "
            "and Python version with 'pip download', as the README shows."
        )
    return kind(
        f"No package index has the pinned version of {name} for this computer and this Python. "
        "Take another Python (3.10 to 3.13), another index, or a folder of wheels."
    )


def _reach_trouble(text: str) -> str:
    """A few words on why an address gave no answer."""
    for pattern, what, _ in _TROUBLES:
        if re.search(pattern, text):
            return what
    status = re.search(r"\b([45]\d\d) (Client|Server) Error", text)
    return f"it answered with error {status.group(1)}" if status else "it did not answer in time"
