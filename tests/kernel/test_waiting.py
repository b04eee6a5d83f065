"""Every way to wait for an image: it comes, it can be interrupted, and the kernel is usable afterwards."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from gradient_notebook.simulator import Simulator

from .kernel import VIEW, Cell, Kernel, clean_environment, image_types, pointed_at

pytestmark = pytest.mark.kernel

_SIZE = (1536, 1024)
_IN_PYTHON = "size='1536x1024', stream=True, partial_images=1"
_MAGICS = {
    "cell": "%%imagegen image --size 1536x1024\nA red house",
    "line": "%imagegen image --size 1536x1024 -- A red house",
    "line among others": "size = '1536x1024'\n%imagegen image --size 1536x1024 -- A house\nwidth = image.width",
    "time": "%%time\n%%imagegen image --size 1536x1024\nA red house",
    "capture": "%%capture captured\n%%imagegen image --size 1536x1024\nA red house",
    "loop": """\
        for color in ["red"]:
            get_ipython().run_cell_magic("imagegen", "image --size 1536x1024", f"A {color} house")
        """,
    "line in a loop": """\
        for color in ["red"]:
            %imagegen image --size 1536x1024 -- A {{color}} house
        """,
    "function": """\
        def paint(color):
            %imagegen image --size 1536x1024 -- A {{color}} house
        paint("red")
        """,
    "coroutine": """\
        async def paint():
            %imagegen image --size 1536x1024 -- A red house
        await paint()
        """,
}
_PYTHON = {
    "generate": f"from gradient_notebook import generate\nimage = generate('A red house', {_IN_PYTHON})",
    # Between the two lines an interrupt leaves the job in the background, where `submit` has put it.
    "result": f"""\
        import sys, threading, traceback
        from gradient_notebook import submit
        def tell():
            main = threading.main_thread().ident
            waits = lambda frame: frame.f_code.co_filename.endswith("jobs/event_loop.py")
            while not any(waits(frame) for frame, _ in traceback.walk_stack(sys._current_frames()[main])):
                pass
            print("waiting", flush=True)
        job = submit("A red house", {_IN_PYTHON})
        threading.Thread(target=tell).start()
        image = job.result()
        """,
    "await": f"from gradient_notebook import submit\nimage = await submit('A red house', {_IN_PYTHON})",
    "client": """\
        import base64, io, PIL.Image, gradient_notebook
        client = gradient_notebook.Client()
        response = client.images.generate(prompt="A red house", size="1536x1024")
        image = PIL.Image.open(io.BytesIO(base64.b64decode(response.data[0].b64_json)))
        """,
    "client in a coroutine": """\
        import base64, io, PIL.Image, gradient_notebook
        async def paint():
            with gradient_notebook.Client() as client:
                return client.images.generate(prompt="A red house", size="1536x1024")
        response = await paint()
        image = PIL.Image.open(io.BytesIO(base64.b64decode(response.data[0].b64_json)))
        """,
    "async client": """\
        import base64, io, PIL.Image, gradient_notebook
        async with gradient_notebook.AsyncClient() as client:
            response = await client.images.generate(prompt="A red house", size="1536x1024")
        image = PIL.Image.open(io.BytesIO(base64.b64decode(response.data[0].b64_json)))
        """,
}
_THREAD = """\
    import concurrent.futures, gradient_notebook
    with concurrent.futures.ThreadPoolExecutor() as pool:
        image = pool.submit(gradient_notebook.generate, "A red house", size="1536x1024").result()
    """
_FORMS = {name: textwrap.dedent(code) for name, code in (_MAGICS | _PYTHON | {"thread": _THREAD}).items()}

# A thread hears no interrupt, and a coroutine of the kernel's own loop hears it when that loop wakes: both are their
# owner's to stop.
_INTERRUPTED = [form for form in _FORMS if form not in ("thread", "async client")]
# What a person's own line of Python raised shows that line, as any interrupt does.
_OURS = [form for form in _MAGICS if form not in ("loop", "line in a loop", "function", "coroutine")]


def _decoded(kernel: Kernel) -> tuple[tuple[int, int], int]:
    """Return the size of `image`, and how many bytes its decoded pixels take."""
    return kernel.value("(image.size, len(image.convert('RGB').tobytes()))")


@pytest.mark.compat
@pytest.mark.parametrize("form", _FORMS)
def test_every_way_to_wait_gives_a_whole_image_for_one_request(kernel: Kernel, simulator: Simulator, form: str) -> None:
    """Each form leaves an image of full size, which decodes, in the variable, and has sent one request."""
    cell = kernel.run(_FORMS[form])

    assert cell.status == "ok", cell
    assert _decoded(kernel) == (_SIZE, 3 * _SIZE[0] * _SIZE[1])
    assert [post.answered for post in simulator.posts] == [True]


@pytest.mark.parametrize("form", ["cell", "line among others", "time"])
def test_without_autoawait_the_magic_waits_by_itself(kernel: Kernel, simulator: Simulator, form: str) -> None:
    """`%autoawait off` changes nothing."""
    kernel.run("%autoawait off")

    cell = kernel.run(_FORMS[form])

    assert cell.status == "ok", cell
    assert _decoded(kernel) == (_SIZE, 3 * _SIZE[0] * _SIZE[1])
    assert len(simulator.posts) == 1


def test_an_awaiting_cell_leaves_the_loop_as_it_is(start_kernel: Callable[..., Kernel], simulator: Simulator) -> None:
    """Neither importing nor loading nor a plain cell patches the kernel's loop; a nested wait may."""
    kernel = start_kernel(simulator)
    kernel.run("import asyncio, sys; run = asyncio.run")
    kernel.run("%load_ext gradient_notebook")
    kernel.run(_FORMS["cell"])
    kernel.run(_FORMS["await"])

    assert kernel.value("asyncio.run is run and not hasattr(asyncio.get_running_loop(), '_nest_patched')")
    assert kernel.value("image.size") == _SIZE


def test_a_captured_cell_keeps_what_it_would_have_shown(kernel: Kernel) -> None:
    """`%%capture` shows nothing, and can show it later."""
    assert kernel.run(_FORMS["capture"]).outputs == []

    shown = kernel.run("captured.show()")

    assert shown.status == "ok", shown


def test_a_notebook_that_is_run_by_another_one_waits_too(kernel: Kernel, simulator: Simulator) -> None:
    """`%run` of a notebook runs each of its cells inside of a cell, where none of them can be awaited."""
    cells = [nbformat.v4.new_code_cell(f"%%imagegen image_{number}\nA house") for number in (1, 2, 3)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), kernel.folder / "three.ipynb")

    cell = kernel.run("%run three.ipynb")

    assert cell.status == "ok", cell
    assert len(simulator.posts) == 3
    assert kernel.value("image_1.size, image_2.size, image_3.size") == ((1024, 1024),) * 3


def test_a_notebook_that_loads_the_extension_can_be_run_by_another_one(
    start_kernel: Callable[..., Kernel], simulator: Simulator
) -> None:
    """`%run setup.ipynb` may be what loads the extension."""
    kernel = start_kernel(simulator)
    sources = ["%load_ext gradient_notebook", "%%imagegen first\nA house", "%%imagegen second\nA house"]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), kernel.folder / "setup.ipynb")

    cell = kernel.run("%run setup.ipynb")

    assert cell.status == "ok", cell
    assert kernel.value("first.size, second.size") == ((1024, 1024),) * 2


def test_a_cell_that_runs_a_cell_goes_on_as_it_was(kernel: Kernel, simulator: Simulator) -> None:
    """After a nested `run_cell`, `%%time` in the same cell still works."""
    cell = kernel.run(
        "get_ipython().run_cell('1')\nget_ipython().run_cell_magic('time', '', '%%imagegen image\\nA house')"
    )

    assert cell.status == "ok", cell
    assert cell.error == []
    assert len(simulator.posts) == 1


def _interrupted(kernel: Kernel, slow: Simulator, code: str) -> Cell:
    """Run a cell that waits for `slow`, and interrupt it when its request is there."""
    kernel.use(slow)
    cell = kernel.start(code)
    kernel.wait_for(lambda: slow.posts and (cell.printed or "waiting" not in code))
    kernel.interrupt()
    return kernel.wait(cell)


@pytest.mark.parametrize("form", _INTERRUPTED)
def test_an_interrupt_ends_every_way_to_wait(kernel: Kernel, simulator: Simulator, slow: Simulator, form: str) -> None:
    """An interrupt hangs up, assigns nothing, and leaves a kernel in which the next cells run.

    A magic tells it in one line without a traceback, and what it may have cost with it; an interrupt of a person's own
    code may show that code, but not the insides of the package.
    """
    cell = _interrupted(kernel, slow, _FORMS[form])

    assert cell.error, cell
    if form in _OURS:
        assert len(cell.error) == 1, cell
        assert cell.error[0].startswith("KeyboardInterrupt: image was not assigned."), cell
        assert "may be billed" in cell.error[0]
    assert "gradient_notebook/" not in "\n".join(cell.error), "\n".join(cell.error)
    assert cell.status == ("ok" if form == "capture" else "error"), cell  # `%%capture` is content with showing it
    kernel.wait_for(lambda: slow.disconnected == 1)
    assert [post.answered for post in slow.posts] == [False]
    assert kernel.value("'image' in globals()") is False
    _usable(kernel, simulator)


@pytest.mark.parametrize("form", ["cell", "time"])
def test_an_interrupt_without_autoawait(kernel: Kernel, simulator: Simulator, slow: Simulator, form: str) -> None:
    """With `%autoawait off` an interrupt does the same."""
    kernel.run("%autoawait off")
    cell = _interrupted(kernel, slow, _FORMS[form])

    kernel.wait_for(lambda: slow.disconnected == 1)
    assert kernel.value("'image' in globals()") is False
    assert "was not assigned" in cell.said
    kernel.run("%autoawait on")
    _usable(kernel, simulator)


def _usable(kernel: Kernel, simulator: Simulator) -> None:
    kernel.use(simulator)
    assert kernel.run("print(6 * 7)").printed == "42\n"
    following = kernel.run("%%imagegen following\nA blue house")
    assert following.status == "ok", following
    assert kernel.value("following.size") == (1024, 1024)
    assert len(simulator.posts) == 1


@pytest.mark.parametrize(
    "call", ["run_cell_magic('imagegen', '', 'A house')", "run_line_magic('imagegen', '-- A house')"]
)
def test_an_interrupt_stops_a_loop_that_goes_on_after_errors(kernel: Kernel, slow: Simulator, call: str) -> None:
    """`except Exception` does not swallow an interrupt: nothing more is sent, and paid for."""
    kernel.use(slow)
    cell = kernel.start(f"""\
for _ in range(3):
    try:
        get_ipython().{call}
    except Exception:
        pass
""")
    kernel.wait_for(lambda: slow.posts)

    kernel.interrupt()
    kernel.wait(cell)

    assert cell.status == "error", cell
    kernel.wait_for(lambda: slow.disconnected == 1)
    assert len(slow.posts) == 1


@pytest.mark.compat
def test_an_interrupt_of_several_images_hangs_up_on_all(kernel: Kernel, slow: Simulator) -> None:
    """n images are n requests: an interrupt ends each of them."""
    kernel.use(slow)
    cell = kernel.start("%%imagegen images -n 4\nA house")
    kernel.wait_for(lambda: len(slow.posts) == 4)

    kernel.interrupt()
    kernel.wait(cell)

    kernel.wait_for(lambda: slow.disconnected == 4)
    assert kernel.value("'images' in globals()") is False


@pytest.mark.compat
def test_an_interrupt_during_an_unanswered_request_hangs_up(kernel: Kernel, simulator: Simulator) -> None:
    """It makes no difference that no header has come yet."""
    simulator.script([{"silence": True}])
    cell = kernel.start(_FORMS["cell"])
    kernel.wait_for(lambda: simulator.posts)

    kernel.interrupt()
    kernel.wait(cell)

    assert cell.status == "error", cell
    kernel.wait_for(lambda: simulator.disconnected == 1)


def test_nbclient_executes_a_notebook(tmp_path: Path, simulator: Simulator) -> None:
    """A notebook that nobody watches has its picture as an ordinary output, and the image in the variable."""
    sources = ["%load_ext gradient_notebook", _FORMS["cell"], _FORMS["time"], "print(image.size)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}})

    client.execute(env=clean_environment(tmp_path, **pointed_at(simulator)))

    *_, cell, timed, last = notebook.cells
    assert last.outputs[0].text == "(1536, 1024)\n"
    assert [output.output_type for output in cell.outputs] == ["display_data", "display_data"]
    for executed in (cell, timed):
        (picture,) = [output for output in executed.outputs if image_types(output)]
        assert image_types(picture) == ["image/jpeg"]
        assert VIEW not in picture.data
    assert len(simulator.posts) == 2


def test_no_picture_stays_in_the_saved_state_of_the_widgets(tmp_path: Path, simulator: Simulator) -> None:
    """What executes a notebook saves the state of every widget that there was: no image is left in it."""
    cells = [nbformat.v4.new_code_cell(source) for source in ("%load_ext gradient_notebook", _FORMS["cell"])]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": tmp_path}})

    client.execute(env=clean_environment(tmp_path, **pointed_at(simulator)))

    saved = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    assert [
        len(buffer["data"]) for model in saved.values() for buffer in model.get("buffers", ()) if buffer["data"]
    ] == []


def test_a_text_that_looks_like_the_magic_is_left_alone(kernel: Kernel, simulator: Simulator) -> None:
    """Only code is rewritten to be awaited: a text of several lines may hold the same words."""
    kernel.use(simulator)
    words = "get_ipython().run_cell_magic('imagegen', '', 'x')"
    assert kernel.run(f'print("""\n{words}\n""".strip())').printed.strip() == words
    assert simulator.posts == []
