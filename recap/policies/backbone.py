"""What a LeRobot policy's own backbone makes of a moment, before the policy acts on it."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data.errors import CheckpointError, ProjectError
from data.files import content_hash, read_json
from data.schema import IMAGE_PREFIX, STATE_KEY
from recap.policies.pooling import pooled
from recap.policies.prompts import INDICATOR_WORD

if TYPE_CHECKING:
    from recap.policies.checkpoint import LoadedPolicy
    from value_models.policy_features_config import PolicyFeaturesConfig

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
FINGERPRINT_DIGITS: Final = 16
FORMAT: Final = "features 1"
"""Changes when the same policy would give other features."""

FRAMES_AT_ONCE: Final = 32

_PALIGEMMA: Final = "model.paligemma_with_expert.paligemma.model.language_model.norm"
KNOWN_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "smolvla": ("model.vlm_with_expert.vlm.model.text_model.norm",),
    "pi0": (_PALIGEMMA,),
    "pi05": (_PALIGEMMA,),
    "act": ("model.encoder",),
    "diffusion": ("diffusion.rgb_encoder",),
    "recap_flow": ("context",),
}
"""Policy type to the modules that are read where no others are named. Of a vision-language model,
the last normalisation: there the images and the words have seen each other, and the action expert
has not begun. Of ACT the encoder of images and joints; of diffusion the images' encoder; of
`recap_flow` what its action expert is given, which joins images, joints and words."""

TOKENS_COME_FIRST: Final = frozenset({"act"})
"""Policy types whose sequences are ``(tokens, B, width)``."""

RESIZING: Final = ("resize_imgs_with_padding", "image_resolution")
"""Settings of policies that bring pictures of any size to their own."""

_NAME_ON_THE_HUB: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_MOST_NAMED: Final = 12
_DEEPEST_NAMED: Final = 3
_SEQUENCE_AXES: Final = 3


class PolicyBackbone:
    """A frozen policy that is asked what it sees, and never what it would do.

    The policy runs as it does at inference, through the pre-processor of its own checkpoint, up to
    the modules that are read; there it is stopped. No noise has entered by then, so the same
    frames give the same features. It is told the task and never an indicator: the value of a
    moment must not depend on what the policy would be asked for.

    Nothing is loaded before the first frame, so that features that are kept cost no policy.
    """

    def __init__(self, settings: PolicyFeaturesConfig) -> None:
        """Find the policy that ``settings.path`` names.

        Raises:
            CheckpointError: If it is no policy's folder, or its type is not known and no module is
                named.
        """
        self.folder = Path(settings.path)
        self._pooling = settings.pooling
        self._require_folder(settings.path)
        self._require_policy()
        self._modules = settings.modules() or self._known_place()

    @cached_property
    def fingerprint(self) -> str:
        """First digits of the content hash of the policy and of how it is read."""
        read = "\0".join((FORMAT, *self._modules, self._pooling))
        digest = hashlib.sha256(f"{content_hash(self.folder)}\0{read}".encode())
        return digest.hexdigest()[:FINGERPRINT_DIGITS]

    def features(self, images: Mapping[str, Pixels], state: Floats, tasks: Sequence[str]) -> Floats:
        """Say what the backbone makes of B frames.

        Args:
            images: Camera name to ``(B, H, W, 3)`` images.
            state: ``(B, S)`` joints, as recorded.
            tasks: The B instructions.

        Returns:
            ``(B, F)`` features.

        Raises:
            CheckpointError: If the policy was made for other cameras or joints, there is no module
                of that name, or it is not run when the policy predicts.
        """
        self._require_fit(images, state)
        parts = [
            self._read({name: pixels[rows] for name, pixels in images.items()}, state[rows], some)
            for rows, some in _in_parts(tasks)
        ]
        return np.concatenate(parts)

    def _require_folder(self, path: str) -> None:
        """Refuse a name on the Hub: LeRobot makes up weights where a download lacks some."""
        if self.folder.exists() or not _NAME_ON_THE_HUB.fullmatch(path):
            return
        message = (
            f"value.model.policy.path={path}: there is no folder {path} on this machine, and a "
            f"policy's features are read from a folder only, whose weights can be checked.\n"
            f"Download it with `hf download {path} --local-dir models/{self.folder.name}` and name "
            f"that: --value.model.policy.path=models/{self.folder.name}"
        )
        raise CheckpointError(message)

    def _require_policy(self) -> None:
        if not (self.folder / CONFIG_FILE).is_file() or not (self.folder / WEIGHTS_FILE).is_file():
            message = (
                f"{self.folder} is not a policy whose features can be read: a LeRobot "
                f"pretrained_model folder holds {CONFIG_FILE} and {WEIGHTS_FILE}. Name another one "
                f"with --value.model.policy.path=..., or restore this one."
            )
            raise CheckpointError(message)

    def _known_place(self) -> tuple[str, ...]:
        try:
            kind = read_json(self.folder / CONFIG_FILE)["type"]
        except (ProjectError, KeyError, TypeError) as error:
            message = f"{self.folder / CONFIG_FILE} does not say which type of policy it is."
            raise CheckpointError(message) from error
        if kind not in KNOWN_PLACES:
            modules = _candidates(self._loaded.policy)
            message = (
                f"{self.folder} is a policy of type {kind}, of which it is not known where its "
                f"backbone ends. Say which module to read with --value.model.policy.module=..., "
                f"for example {', '.join(modules)}."
            )
            raise CheckpointError(message)
        return KNOWN_PLACES[kind]

    @cached_property
    def _loaded(self) -> LoadedPolicy:
        from recap.policies.checkpoint import load_policy
        from recap.policies.indicator import IndicatorStep

        with torch.random.fork_rng(devices=[]):  # it draws weights, only to replace them
            loaded = load_policy(self.folder)
        loaded.policy.requires_grad_(requires_grad=False)
        for step in loaded.preprocessor.steps:
            if isinstance(step, IndicatorStep):
                step.runtime = "none"
        return loaded

    @cached_property
    def _tap(self) -> _Tap:
        return _Tap(self._loaded.policy, self._modules, folder=self.folder)

    @torch.no_grad()
    def _read(self, images: Mapping[str, Pixels], state: Floats, tasks: Sequence[str]) -> Floats:
        policy = self._loaded.policy
        batch = self._loaded.preprocessor(self._as_batch(images, state, tasks))
        self._require_no_indicator(tasks, batch.get("task"))
        # A flow draws where it starts before anything else. That is for itself alone, and where
        # somebody reads a module that it has reached, at least the same every time.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            outputs = self._tap.outputs(lambda: _predict(policy, batch))
        rows = [self._one_row(output, len(tasks)) for output in outputs]
        return torch.cat(rows, dim=1).cpu().numpy()

    def _one_row(self, output: Tensor, batch: int) -> Tensor:
        """Turn what a module put out into ``(B, F)``."""
        config = self._loaded.policy.config
        if output.ndim == _SEQUENCE_AXES and config.type in TOKENS_COME_FIRST:
            output = output.transpose(0, 1)
        if output.ndim < 2 or len(output) % batch:
            message = (
                f"the modules {', '.join(self._modules)} of {self.folder} put out "
                f"{tuple(output.shape)} for {batch} frames, which is not a row for each. "
                f"Name another one with --value.model.policy.module=..."
            )
            raise CheckpointError(message)
        mask = self._tap.is_token(output)
        rows = pooled(output.float(), mask=mask, pooling=self._pooling)
        # Cameras, and the moments of a policy that looks at several, may each have had a row.
        each = len(output) // batch
        moments = getattr(config, "n_obs_steps", 1)
        moments = moments if each % moments == 0 else 1
        return rows.view(batch, moments, -1)[:, -1]

    def _as_batch(
        self, images: Mapping[str, Pixels], state: Floats, tasks: Sequence[str]
    ) -> dict[str, Any]:
        """Arrange them as LeRobot's environments do: pictures ``(B, 3, H, W)`` in [0, 1]."""
        batch: dict[str, Any] = {}
        for camera in self._cameras():
            pixels = torch.from_numpy(np.ascontiguousarray(images[camera]))
            batch[IMAGE_PREFIX + camera] = pixels.permute(0, 3, 1, 2).contiguous().float() / 255
        batch[STATE_KEY] = torch.from_numpy(np.array(state, dtype=np.float32))
        batch["task"] = list(tasks)
        return batch

    def _cameras(self) -> dict[str, tuple[int, int]]:
        """The cameras that the policy wants, under the names that episodes have for them."""
        from lerobot.processor import RenameObservationsProcessorStep

        renamed: dict[str, str] = {}
        for step in self._loaded.preprocessor.steps:
            if isinstance(step, RenameObservationsProcessorStep):
                renamed |= {new: old for old, new in step.rename_map.items()}
        return {
            renamed.get(key, key).removeprefix(IMAGE_PREFIX): tuple(feature.shape[-2:])
            for key, feature in self._loaded.policy.config.image_features.items()
            if "empty_camera" not in key
        }

    def _require_fit(self, images: Mapping[str, Pixels], state: Floats) -> None:
        config, wanted = self._loaded.policy.config, self._cameras()
        sizes = {name: (pixels.shape[1], pixels.shape[2]) for name, pixels in images.items()}
        resizes = any(getattr(config, name, None) is not None for name in RESIZING)
        fits = all(
            name in sizes and (resizes or sizes[name] == size) for name, size in wanted.items()
        )
        joints = config.robot_state_feature
        if fits and (joints is None or joints.shape[0] == state.shape[1]):
            return
        numbers = 0 if joints is None else joints.shape[0]
        message = (
            f"{self.folder} was made for cameras {wanted} (height, width) and {numbers} numbers in "
            f"a state, and the episodes have {sizes} and {state.shape[1]}. Read the features of a "
            f"policy of this robot: --value.model.policy.path=..."
        )
        raise CheckpointError(message)

    def _require_no_indicator(self, tasks: Sequence[str], told: object) -> None:
        prompts = [told] if isinstance(told, str) else told if isinstance(told, list) else []
        if any(
            INDICATOR_WORD in prompt.lower() and INDICATOR_WORD not in task.lower()
            for prompt, task in zip(prompts, tasks, strict=False)
        ):
            message = (
                f"{self.folder} tells the policy how good its actions should be, by a step that "
                f"cannot be switched off here, and the value would depend on it. Read another "
                f"policy's features, or take that step out of its policy_preprocessor.json."
            )
            raise CheckpointError(message)


class _Reached(BaseException):
    """Everything to be read has been put out; no handler of the policy's may catch this."""


class _Tap:
    """Keeps what some modules put out, and stops the policy after the last of them."""

    def __init__(self, policy: Any, names: Sequence[str], *, folder: Path) -> None:  # noqa: ANN401
        self._folder = folder
        self._policy = policy
        self._names = names
        self._modules = [part for name in names for part in self._parts(name)]
        self._mask: Tensor | None = None
        model = getattr(policy, "model", None)
        if hasattr(model, "embed_prefix"):
            self._watch_prefix(model)

    def outputs(self, predict: Callable[[], object]) -> list[Tensor]:
        """Let the policy predict, and return what each module first put out.

        Raises:
            CheckpointError: If a module was not run.
        """
        kept: dict[int, Tensor] = {}
        self._mask = None

        def keep(place: int, output: object) -> None:
            kept.setdefault(place, _first_tensor(output))
            if len(kept) == len(self._modules):
                raise _Reached

        hooks = [
            module.register_forward_hook(lambda _, __, output, place=place: keep(place, output))
            for place, module in enumerate(self._modules)
        ]
        try:
            predict()
        except _Reached:
            return [kept[place] for place in range(len(self._modules))]
        finally:
            for hook in hooks:
                hook.remove()
            self._policy.reset()
        message = (
            f"{self._folder} predicts without running all of {', '.join(self._names)}, so there is "
            f"nothing to read. {self._instead()}"
        )
        raise CheckpointError(message)

    def is_token(self, output: Tensor) -> Tensor | None:
        """Say ``(B, L)`` which places of a sequence hold something; None where all do."""
        mask = self._mask
        is_prefix = mask is not None and output.ndim == _SEQUENCE_AXES
        return mask if is_prefix and mask is not None and mask.shape == output.shape[:2] else None

    def _watch_prefix(self, model: Any) -> None:  # noqa: ANN401 - smolvla's, pi0's or pi05's
        """Remember which tokens of images, words and joints are there and which only fill up."""
        embed = model.embed_prefix

        def embed_and_remember(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            prefix = embed(*arguments, **named)
            self._mask = prefix[1]
            return prefix

        model.embed_prefix = embed_and_remember

    def _parts(self, name: str) -> list[nn.Module]:
        try:
            module = self._policy.get_submodule(name)
        except AttributeError:
            message = f"{self._folder} has no module {name!r}. {self._instead(name)}"
            raise CheckpointError(message) from None
        # A list is never run itself: each of its members is, one for every camera.
        return list(module) if isinstance(module, nn.ModuleList) else [module]

    def _instead(self, name: str = "") -> str:
        every = [other for other, _ in self._policy.named_modules() if other]
        nearest = difflib.get_close_matches(name, every, n=3)
        named = ", ".join(nearest or _candidates(self._policy))
        return f"Read another one with --value.model.policy.module=..., for example {named}."


def _predict(policy: Any, batch: dict[str, Any]) -> object:  # noqa: ANN401 - any LeRobot policy
    policy.reset()
    if getattr(policy.config, "n_obs_steps", 1) > 1:
        # Such a policy fills its memory of earlier moments with the one it is shown.
        return policy.select_action(batch)
    return policy.predict_action_chunk(batch)


def _candidates(policy: Any) -> list[str]:  # noqa: ANN401 - any LeRobot policy
    """Name the larger modules of a policy, the outer ones first."""
    found = [
        name
        for name, module in policy.named_modules()
        if name and name.count(".") < _DEEPEST_NAMED and any(True for _ in module.children())
    ]
    return sorted(found, key=lambda name: name.count("."))[:_MOST_NAMED]


def _first_tensor(output: Any) -> Tensor:  # noqa: ANN401 - a module puts out what it likes
    if isinstance(output, Tensor):
        return output
    parts = list(output.values()) if isinstance(output, Mapping) else output
    for part in parts if isinstance(parts, (tuple, list)) else ():
        if isinstance(part, Tensor):
            return part
    message = (
        f"a module puts out {type(output).__name__} without a tensor, so there is nothing to read. "
        f"Name another one with --value.model.policy.module=..."
    )
    raise CheckpointError(message)


def _in_parts(tasks: Sequence[str]) -> list[tuple[slice, Sequence[str]]]:
    return [
        (slice(start, start + FRAMES_AT_ONCE), tasks[start : start + FRAMES_AT_ONCE])
        for start in range(0, len(tasks), FRAMES_AT_ONCE)
    ]
