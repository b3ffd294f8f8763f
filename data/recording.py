"""Record an attempt while it is being made.

A real session has several cameras for minutes: its pictures fit neither into memory nor into the
pause after the attempt. So every camera has a thread that encodes what it saw, and the control
loop only hands frames over. The result has the same bytes as `EpisodeStore.write` of the frames.

What is written lies in ``.partial/`` until the attempt is finished: a recorder that is killed
leaves nothing in the store.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from typing import TYPE_CHECKING, Self

import numpy as np

from data.episode_files import (
    FrameColumns,
    check_columns,
    record_hash,
    require_array,
    write_episode,
    writing_to,
)
from data.errors import EpisodeError
from data.files import PartialFolder
from data.pictures import Pictures, PictureWriter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

    from data.episodes import EpisodeStore
    from data.schema import EpisodeInfo, Pilot

PARTIAL_NAME = "recording"
"""What an attempt is called until it has a name."""

MOST_WAITING_FRAMES = 120
"""Four seconds at 30 Hz; with three cameras of 480x640 they take 330 MB."""

_WARM_BUFFERS = 4


class EpisodeRecorder:
    """Writes one attempt while it is being made. End it with `finish` or `abandon`.

    As a context manager it abandons what was not finished. One thread, the control loop, calls it.
    """

    def __init__(
        self, store: EpisodeStore, *, most_waiting_frames: int = MOST_WAITING_FRAMES
    ) -> None:
        """Open the videos of an attempt in a folder of its own, aside from the store.

        Args:
            store: Where the attempt goes once it is finished.
            most_waiting_frames: Frames of a camera that may wait to be encoded. They bound the
                memory, and bridge the moments in which the disk or the processor is busy.

        Raises:
            EpisodeError: If the disk does not take the files.
        """
        self.frames = 0
        self._store = store
        self._most_waiting_frames = most_waiting_frames
        self._states: list[NDArray[np.float32]] = []
        self._actions: list[NDArray[np.float32]] = []
        self._policy_actions: list[NDArray[np.float32]] = []
        self._pilots: list[Pilot] = []
        self._is_open = True
        self._cameras: dict[str, _CameraThread] = {}
        with writing_to(store.root):
            self._partial = PartialFolder(store.root, PARTIAL_NAME)
        try:
            with writing_to(store.root):
                for camera, size in store.layout.cameras.items():
                    writer = PictureWriter(
                        self._partial.path, camera, size=size, fps=store.layout.fps
                    )
                    self._cameras[camera] = _CameraThread(camera, writer, size)
        except EpisodeError:
            self.abandon()
            raise

    @property
    def is_open(self) -> bool:
        """Whether more can be added: neither finished, nor abandoned, nor ended by the disk."""
        return self._is_open

    @property
    def waiting_frames(self) -> int:
        """How many frames the slowest camera has still to encode."""
        return max((camera.waiting_frames for camera in self._cameras.values()), default=0)

    def add(
        self,
        *,
        images: Mapping[str, NDArray[np.uint8]],
        state: NDArray[np.floating],
        action: NDArray[np.floating],
        pilot: Pilot,
        policy_action: NDArray[np.floating] | None = None,
    ) -> None:
        """Take the next frame and return at once. Everything is copied that might change.

        A frame is taken whole or not at all. After an error that is not the disk's, the frames
        until then can still be finished.

        Args:
            images: Camera name to ``(H, W, 3)`` RGB pixels.
            state: ``(S,)`` state, seen before the action.
            action: ``(A,)`` commanded action.
            pilot: Who was in control.
            policy_action: ``(A,)`` what the policy asked for; None if nobody asked it.

        Raises:
            EpisodeError: If the state or action is not finite, if the encoders are too far
                behind, or if the disk is full, which ends the recording.
            ValueError: If the frame does not fit the layout, or the recording has ended.
        """
        self._require_open()
        self._require_encoders()
        self._require_cameras(images)
        layout = self._store.layout
        row_state = self._vector("state", state, len(layout.state_names))
        row_action = self._vector("action", action, len(layout.action_names))
        asked = np.full_like(row_action, np.nan) if policy_action is None else policy_action
        row_asked = self._vector("policy_action", asked, len(layout.action_names), may_be_nan=True)
        self._require_room()
        # First all copies, then all wake-ups: a thread that has begun to encode would get in the
        # way of the next copy.
        copies = [(camera, camera.copy(images[name])) for name, camera in self._cameras.items()]
        for camera, pixels in copies:
            camera.encode(pixels)
        self._states.append(row_state)
        self._actions.append(row_action)
        self._policy_actions.append(row_asked)
        self._pilots.append(pilot)
        self.frames += 1

    def finish(self, info: EpisodeInfo) -> Path:
        """Wait for the encoders, write the rest, and put the attempt into the store.

        Args:
            info: The attempt as a whole; it must agree with the frames that were added.

        Returns:
            The folder of the episode.

        Raises:
            EpisodeError: If the disk is full, frames are missing in a video, or the name belongs
                to another attempt. Nothing remains.
            ValueError: If the info contradicts the frames, or the recording has ended. In the
                first case it goes on: finish it with another info, or abandon it.
        """
        self._require_open()
        columns = self._columns()
        check_columns(info, columns, self._store.layout)
        destination = self._store.root / info.uid
        try:
            with writing_to(self._store.root):
                pictures = {name: camera.close() for name, camera in self._cameras.items()}
                write_episode(
                    self._partial.path,
                    info=info,
                    columns=columns,
                    pictures=pictures,
                    layout=self._store.layout,
                )
                self._partial.rename(destination)
        except FileExistsError:
            digests = {name: seen.digest for name, seen in pictures.items()}
            self._store.require_same(info.uid, record_hash(info, columns, digests))
        finally:
            self.abandon()
        return destination

    def abandon(self) -> None:
        """Forget the attempt; nothing of it remains. After the end this does nothing."""
        self._is_open = False
        for camera in self._cameras.values():
            camera.abandon()
        self._partial.discard()

    def __enter__(self) -> Self:
        """Return the recorder itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Abandon what was not finished."""
        self.abandon()

    def _require_open(self) -> None:
        if not self._is_open:
            message = "This recording has ended. Begin another one for the next attempt."
            raise ValueError(message)

    def _require_encoders(self) -> None:
        try:
            with writing_to(self._store.root):
                for camera in self._cameras.values():
                    camera.require_healthy()
        except EpisodeError:
            self.abandon()
            raise

    def _require_cameras(self, images: Mapping[str, NDArray[np.uint8]]) -> None:
        if images.keys() != self._cameras.keys():
            message = f"images are of {sorted(images)}, the layout has {sorted(self._cameras)}"
            raise ValueError(message)
        for camera, size in self._store.layout.cameras.items():
            require_array(f"images[{camera!r}]", images[camera], np.uint8, (*size, 3))

    def _require_room(self) -> None:
        behind = self.waiting_frames
        if behind >= self._most_waiting_frames:
            seconds = behind / self._store.layout.fps
            message = (
                f"The recording is {behind} frames ({seconds:.1f} s) behind the cameras: this "
                f"machine cannot encode them as fast as they come, and none may be dropped. Use "
                f"fewer or smaller cameras, or a lower rate, or free the processor."
            )
            raise EpisodeError(message)

    def _vector(
        self, name: str, values: NDArray[np.floating], width: int, *, may_be_nan: bool = False
    ) -> NDArray[np.float32]:
        row = np.array(values, dtype=np.float32)
        require_array(name, row, np.float32, (width,))
        if not may_be_nan and not np.isfinite(row).all():
            message = f"The {name} of frame {self.frames} is not finite."
            raise EpisodeError(message)
        return row

    def _columns(self) -> FrameColumns:
        layout = self._store.layout
        states, actions = len(layout.state_names), len(layout.action_names)
        return FrameColumns(
            state=np.array(self._states, dtype=np.float32).reshape(-1, states),
            action=np.array(self._actions, dtype=np.float32).reshape(-1, actions),
            policy_action=np.array(self._policy_actions, dtype=np.float32).reshape(-1, actions),
            pilot=self._pilots,
        )


class _CameraThread:
    """Encodes one camera in a thread of its own, from buffers that are used again and again."""

    def __init__(self, camera: str, writer: PictureWriter, size: tuple[int, int]) -> None:
        self._camera = camera
        self._writer = writer
        self._size = size
        self._waiting: queue.SimpleQueue[NDArray[np.uint8] | None] = queue.SimpleQueue()
        # A page that is touched for the first time costs more than the copy.
        self._free: deque[NDArray[np.uint8]] = deque(
            np.ones((*size, 3), dtype=np.uint8) for _ in range(_WARM_BUFFERS)
        )
        self._handed_over = 0
        self._encoded = 0
        self._pictures: Pictures | None = None
        self._error: OSError | EpisodeError | None = None
        self._is_unwanted = False
        self._thread = threading.Thread(target=self._run, name=f"encode {camera}", daemon=True)
        self._thread.start()

    @property
    def waiting_frames(self) -> int:
        return self._handed_over - self._encoded

    def copy(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        buffer = self._free.pop() if self._free else np.empty((*self._size, 3), dtype=np.uint8)
        np.copyto(buffer, pixels)
        return buffer

    def encode(self, pixels: NDArray[np.uint8]) -> None:
        self._handed_over += 1
        self._waiting.put(pixels)

    def require_healthy(self) -> None:
        if self._error is not None:
            raise self._error

    def close(self) -> Pictures:
        self._waiting.put(None)
        self._thread.join()
        self.require_healthy()
        if self._pictures is None:
            message = f"The encoder of camera '{self._camera}' stopped. Record the attempt again."
            raise EpisodeError(message)
        return self._pictures

    def abandon(self) -> None:
        self._is_unwanted = True
        self._waiting.put(None)
        self._thread.join()
        self._writer.abandon()

    def _run(self) -> None:
        try:
            while (pixels := self._waiting.get()) is not None and not self._is_unwanted:
                self._writer.add(pixels)
                self._free.append(pixels)
                self._encoded += 1
            if not self._is_unwanted:
                self._pictures = self._writer.close()
        except (OSError, EpisodeError) as error:
            self._error = error
