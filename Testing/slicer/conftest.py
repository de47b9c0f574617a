"""What the tests of scene code share: a scene with the six views, results with a known deformation, drawn views.

Slicer's core is imported inside the fixtures: without it the tests are skipped, but this file is still read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from MedTranslateLib.bundles.store import BundleStore
from MedTranslateLib.core.correspondence import Correspondence, DisplacementField, Origin
from MedTranslateLib.core.result import TranslationResult
from MedTranslateLib.core.volume import Geometry, Volume


def oblique_grid(size_ijk: tuple[int, int, int] = (30, 26, 12), handedness: float = 1.0) -> Geometry:
    """Turned by 20 degrees about S and 10 about R; anisotropic; off the origin; all sizes different."""
    a, b = np.radians(20), np.radians(10)
    about_s = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_r = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    matrix = np.eye(4)
    matrix[:3, :3] = about_r @ about_s @ np.diag([2.0 * handedness, 2.4, 5.0])
    matrix[:3, 3] = [14.5, -61.25, 30.75]
    return Geometry(size_ijk, matrix)


@dataclass(frozen=True)
class AffineMap:
    """Output to source by p -> middle + matrix (p - middle) + shift; Slicer interpolates such a field exactly."""

    matrix: np.ndarray
    middle_ras: np.ndarray
    shift_mm: np.ndarray = field(default_factory=lambda: np.zeros(3))

    @property
    def det(self) -> float:
        return float(np.linalg.det(self.matrix))

    def to_source(self, points_ras: Any) -> np.ndarray:
        return self.middle_ras + (np.asarray(points_ras) - self.middle_ras) @ self.matrix.T + self.shift_mm

    def to_output(self, points_ras: Any) -> np.ndarray:
        back = np.asarray(points_ras) - self.shift_mm - self.middle_ras
        return self.middle_ras + back @ np.linalg.inv(self.matrix).T


def middle_of(geometry: Geometry) -> np.ndarray:
    return geometry.ras_from_ijk((np.array(geometry.size_ijk) - 1) / 2)


SQUEEZE = np.array([[0.94, 0.05, 0.0], [-0.03, 1.06, 0.02], [0.02, 0.0, 0.9]])
"""Asymmetric, no rotation, volume change 0.898 from output to source."""


def squeeze(geometry: Geometry) -> AffineMap:
    return AffineMap(SQUEEZE, middle_of(geometry), np.array([1.5, -2.0, 3.0]))


def field_of(geometry: Geometry, mapped: Callable[[np.ndarray], np.ndarray]) -> DisplacementField:
    k, j, i = np.indices(geometry.shape_kji)
    points = geometry.ras_from_ijk(np.stack([i, j, k], axis=-1))
    return DisplacementField((mapped(points) - points).astype(np.float32), geometry)


def correspondence_of(geometry: Geometry, mapping: AffineMap) -> Correspondence:
    return Correspondence(field_of(geometry, mapping.to_source), field_of(geometry, mapping.to_output), Origin.MODEL)


def numbered(geometry: Geometry, first: float = 0.0) -> Volume:
    """A different value in each voxel: `first` plus the voxel's number, i fastest."""
    return Volume(np.arange(np.prod(geometry.shape_kji)).reshape(geometry.shape_kji) + first, geometry, "numbered")


def result_on(geometry: Geometry, correspondence: Correspondence, **changes: Any) -> TranslationResult:
    values: dict[str, Any] = {
        "translated": numbered(geometry, first=0.5),
        "correspondence": correspondence,
        "validity_kji": np.ones(geometry.shape_kji, np.uint8),
        "uncertainty": None,
        "output_name": "CT",
        "output_modality": "CT",
    }
    return TranslationResult(**{**values, **changes})


@pytest.fixture
def known() -> SimpleNamespace:
    """The functions above, which a test file cannot import from here."""
    functions = (oblique_grid, middle_of, squeeze, field_of, correspondence_of, numbered, AffineMap)
    return SimpleNamespace(**{function.__name__: function for function in functions})


@pytest.fixture
def scene() -> Iterator[Any]:
    """A scene with Slicer's colours, the six views of the compare layout, and a crosshair."""
    import slicer

    from MedTranslateLib.mrml.layout import add_compare_views

    made = slicer.vtkMRMLScene()
    colours = slicer.vtkMRMLColorLogic()
    colours.SetMRMLScene(made)
    colours.AddDefaultColorNodes()
    add_compare_views(made)
    made.AddNode(slicer.vtkMRMLCrosshairNode())
    yield made
    colours.SetMRMLScene(None)


@pytest.fixture
def add_to_scene(scene: Any) -> Callable[..., Any]:
    """`add_to_scene(geometry, correspondence, **changes of the result)` gives the nodes of a result."""
    from MedTranslateLib.mrml.scene import add_result, add_source

    def add(geometry: Geometry, correspondence: Correspondence, *, source: Volume | None = None, **changes: Any) -> Any:
        result = result_on(geometry, correspondence, **changes)
        source = source or numbered(geometry)
        return add_result(scene, add_source(scene, source, result), source.name, result)

    return add


@pytest.fixture
def squeezed(add_to_scene: Callable[..., Any]) -> tuple[Any, AffineMap]:
    """The nodes of a result whose output is squeezed, and the true mapping."""
    geometry = oblique_grid()
    mapping = squeeze(geometry)
    return add_to_scene(geometry, correspondence_of(geometry, mapping)), mapping


@pytest.fixture
def hover(scene: Any) -> Callable[[str, Any], None]:
    """`hover("Red", point_ras)` turns the view to the point and puts the mouse there, as Slicer's views tell it."""

    def move(tag: str, point_ras: Any) -> None:
        view = scene.GetSingletonNode(tag, "vtkMRMLSliceNode")
        view.JumpSliceByOffsetting(*point_ras)
        x, y = xy_in_view(view, point_ras)
        scene.GetFirstNodeByClass("vtkMRMLCrosshairNode").SetCursorPositionXYZ([x, y, 0.0], view)

    return move


def xy_in_view(view: Any, point_ras: Any) -> tuple[float, float]:
    """Where a place lies in a slice view, in pixels from the lower left corner."""
    to_ras = np.array([[view.GetXYToRAS().GetElement(row, column) for column in range(4)] for row in range(4)])
    x, y, *_ = np.linalg.inv(to_ras) @ [*point_ras, 1.0]
    return float(x), float(y)


def by_slicers_bundle(scene: Any, folder: Path) -> Callable[[Any], bool]:
    """As File > Save with the ending .mrb, and File > Open."""
    import slicer

    assert scene.WriteToMRB(str(folder / "saved.mrb"))

    def read(into: Any) -> bool:
        cache, files = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
        cache.SetRemoteCacheDirectory(str(folder))  # where Slicer unpacks it
        files.SetCacheManager(cache)
        into.SetDataIOManager(files)
        return into.ReadFromMRB(str(folder / "saved.mrb"))

    return read


def by_description_and_data_files(scene: Any, folder: Path) -> Callable[[Any], bool]:
    """As File > Save with a .mrml and a file a node."""
    for node in scene.GetNodes():
        if node.IsA("vtkMRMLStorableNode") and not node.IsA("vtkMRMLColorNode"):
            node.AddDefaultStorageNode()
            storage = node.GetStorageNode()
            if storage is not None:
                storage.SetFileName(str(folder / f"{node.GetID()}.{storage.GetDefaultWriteFileExtension()}"))
                assert storage.WriteData(node)
    assert scene.Commit(str(folder / "saved.mrml"))

    def read(into: Any) -> bool:
        into.SetURL(str(folder / "saved.mrml"))
        return bool(into.Import())

    return read


@pytest.fixture(params=[by_slicers_bundle, by_description_and_data_files])
def reopened(request: pytest.FixtureRequest, scene: Any, tmp_path: Path) -> Callable[..., Any]:
    """`reopened()` saves the scene and opens it as a fresh one; `reopened(into)` adds it to another."""
    import slicer

    kept = []

    def reopen(into: Any = None) -> Any:
        read = request.param(scene, tmp_path)
        if into is None:
            into = slicer.vtkMRMLScene()
            colours = slicer.vtkMRMLColorLogic()
            colours.SetMRMLScene(into)
            colours.AddDefaultColorNodes()
            slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(into, 1)
            kept.append(colours)
        assert read(into)
        return into

    return reopen


class DrawnView:
    """A slice view as Slicer builds it, off-screen: slice logic, image, and displayable managers; drawn on demand."""

    def __init__(self, application: Any, tag: str, size: tuple[int, int]) -> None:
        import slicer
        import vtk

        scene = application.GetMRMLScene()
        self.node = scene.GetSingletonNode(tag, "vtkMRMLSliceNode")
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application)
        self.logic.SetMRMLScene(scene)
        self.logic.SetSliceNode(self.node)
        self.renderer = vtk.vtkRenderer()
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self.window.SetInteractor(self._interactor)
        self._group = _displayable_managers(application).InstantiateDisplayableManagers(self.renderer)
        self._group.SetMRMLDisplayableNode(self.node)
        self._image = self._add_image()
        self.logic.ResizeSliceNode(*size)

    def _add_image(self) -> Any:
        import vtk

        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)
        return actor

    def draw(self, png: Path | None = None) -> np.ndarray:
        """The picture, (rows, columns, 3) from the lower left corner, so that [y, x] is Slicer's xy."""
        import vtk
        from vtk.util.numpy_support import vtk_to_numpy

        image = self.logic.GetImageDataConnection()
        self._image.SetVisibility(image is not None)
        self._image.GetMapper().SetInputConnection(image)
        self.window.Render()
        capture = vtk.vtkWindowToImageFilter()
        capture.SetInput(self.window)
        capture.ReadFrontBufferOff()
        capture.Update()
        if png is not None:
            writer = vtk.vtkPNGWriter()
            writer.SetFileName(str(png))
            writer.SetInputConnection(capture.GetOutputPort())
            writer.Write()
        image = capture.GetOutput()
        columns, rows, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)[..., :3].astype(int)

    def xy_of(self, point_ras: Any) -> tuple[float, float]:
        return xy_in_view(self.node, point_ras)

    def close(self) -> None:
        self._group.SetMRMLDisplayableNode(None)
        self.logic.SetMRMLScene(None)
        self.window.Finalize()


def _displayable_managers(application: Any) -> Any:
    import slicer

    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    factory.SetMRMLApplicationLogic(application)
    for name in (
        "vtkMRMLCrosshairDisplayableManager",
        "vtkMRMLMarkupsDisplayableManager",
        "vtkMRMLTransformsDisplayableManager2D",
    ):
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
    return factory


@pytest.fixture
def application(scene: Any) -> Iterator[Any]:
    """The logics that an application has beside its scene."""
    import slicer

    made = slicer.vtkMRMLApplicationLogic()
    made.SetMRMLScene(scene)
    markups = slicer.vtkSlicerMarkupsLogic()
    markups.SetMRMLApplicationLogic(made)
    markups.SetMRMLScene(scene)
    made.SetModuleLogic("Markups", markups)
    yield made
    markups.SetMRMLScene(None)
    made.SetMRMLScene(None)


@pytest.fixture
def drawn_views(application: Any) -> Iterator[Callable[..., dict[str, DrawnView]]]:
    """`drawn_views(size)` gives the six views by name; skipped where nothing can be drawn off-screen."""
    import vtk

    if not vtk.vtkRenderWindow().SupportsOpenGL():
        pytest.skip("no OpenGL for off-screen drawing (Linux: install libegl1 and libgl1-mesa-dri)")
    views: dict[str, DrawnView] = {}

    def make(size: tuple[int, int] = (320, 260)) -> dict[str, DrawnView]:
        for tag in ("Red", "Yellow", "Green", "Red+", "Yellow+", "Green+"):
            views[tag] = DrawnView(application, tag, size)
        return views

    yield make
    for view in views.values():
        view.close()


@pytest.fixture
def store(make_bundle: Callable[..., Path], tmp_path: Path) -> BundleStore:
    """Has the bundle `identity`, whose slices may be as far apart as the phantom's."""
    make_bundle("identity", size_hw=(32, 32), spacing_mm=6.0, slice_spacing_mm=(0.5, 12.0))
    return BundleStore((), tmp_path / "bundles")


@pytest.fixture
def on_bench(scene: Any, store: BundleStore, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`on_bench(runner)` gives a scene with the translation logic on it, which is closed after the test."""
    from Testing.slicer.translation_bench import Bench

    made: list[Bench] = []

    def make(runner: object) -> Bench:
        made.append(Bench(scene, runner, tmp_path / "jobs", store))
        return made[-1]

    yield make
    for bench in made:
        bench.logic.close()


@pytest.fixture
def bench(on_bench: Callable[..., Any]) -> Any:
    """One whose worker is the test itself."""
    from Testing.slicer.translation_bench import FakeRunner

    return on_bench(FakeRunner())
