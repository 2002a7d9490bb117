"""The verbs: what may be done with the catalog.

Each verb decides purely, from what both files say, and hands its change to the store.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from civit_mcp import files
from civit_mcp.catalog import editing, moving, undoing
from civit_mcp.catalog.adding import NO_ROOT, Adding, chosen
from civit_mcp.catalog.change import NAMES, Change, Edit
from civit_mcp.catalog.document import EMPTY
from civit_mcp.catalog.importing import Bundle, incoming
from civit_mcp.catalog.presence import Roots
from civit_mcp.catalog.preview import diff_of
from civit_mcp.catalog.snapshot import DocumentInfo, Snapshot
from civit_mcp.catalog.table import Table
from civit_mcp.catalog.transaction import Decision, State, Store, Written, aware
from civit_mcp.catalog.verbs import Address, new_change
from civit_mcp.catalog.verifying import Hasher
from civit_mcp.models.catalogued import (
    AddAnswer,
    CatalogName,
    ChangeAnswer,
    ExchangeAnswer,
    PromoteAnswer,
)
from civit_mcp.models.records import VersionRecord

__all__ = ["NO_ROOT", "Catalog"]

A = TypeVar("A", AddAnswer, PromoteAnswer, ChangeAnswer, ExchangeAnswer)
Request = tuple[VersionRecord, int | None]


def _now() -> datetime:
    return datetime.now(UTC)


class Catalog:
    """`models.json` and `loras.json` of one folder. Synchronous and thread-safe.

    Every verb may raise `CatalogUnreadable`, `CatalogLocked` and `Conflict` beside what it
    names itself. `dry_run` answers the same with the diff, and writes nothing.
    """

    def __init__(
        self,
        folder: Path,
        models_root: Path | None = None,
        *,
        lock_timeout: float = 10.0,
        now: Callable[[], datetime] = _now,
        disk: files.Disk | None = None,
    ) -> None:
        """Take the folders; nothing is read or made before it is needed."""
        self.folder = folder
        self.models_root = models_root
        self._store = Store(folder, lock_timeout=lock_timeout, now=now, disk=disk)
        self._now = now
        self._known: Snapshot | None = None
        #: contents of model files, as far as somebody asked for them
        self.hasher = Hasher()

    # -- reading

    def snapshot(self) -> Snapshot:
        """Both files as of one moment; cheap while the files stay as they are."""
        return self._snapshot(self._store.read())

    def fingerprint(self) -> str:
        """A text that is another one when either file changed; costs two looks, no reading."""
        return repr(self._store.stamps())

    def raw(self, name: CatalogName) -> str:
        """One file's text as it stands; a file that is not there reads as an empty catalog."""
        text = self._store.text(name)
        return EMPTY if text is None else text

    def history(self) -> list[Change]:
        """The changes that were made through civit-mcp, oldest first; at least the last 100."""
        return self._store.private.changes()

    # -- writing

    def add(
        self, version: VersionRecord, file_id: int | None = None, *, dry_run: bool = False
    ) -> AddAnswer:
        """Put a version's file into models.json.

        The main file unless `file_id` names another. Raises `BadReference` for a file id
        that the version does not have.
        """
        file = chosen(version, file_id)

        def decide(state: State) -> Decision[AddAnswer]:
            adding = Adding(self._snapshot(state), aware(self._now()))
            answer = adding.add(version, file)
            return self._decided("add", version.id, answer, adding.edits)

        return self._run(decide, dry_run=dry_run)

    def add_many(self, requests: Sequence[Request], *, dry_run: bool = False) -> list[AddAnswer]:
        """Put several versions' files into models.json as one change; an answer for each.

        Every answer carries the same change id, if anything was added; the first of a dry run
        the diff. Raises `BadReference` for a file id that its version does not have.
        """
        chosen_files = [(version, chosen(version, file_id)) for version, file_id in requests]
        outcomes: list[AddAnswer] = []

        def decide(state: State) -> Decision[AddAnswer]:
            adding = Adding(self._snapshot(state), aware(self._now()))
            outcomes[:] = [adding.add(version, file) for version, file in chosen_files]
            return self._decided("add", None, AddAnswer(status="done"), adding.edits)

        whole = self._run(decide, dry_run=dry_run)
        shown = {"change_id": whole.change_id, "dry_run": whole.dry_run}
        answers = [
            outcome.model_copy(update={**shown, "notes": [*outcome.notes, *whole.notes]})
            for outcome in outcomes
        ]
        if answers:
            answers[0] = answers[0].model_copy(update={"diff": whole.diff})
        return answers

    def promote(self, version_id: int | str, *, dry_run: bool = False) -> PromoteAnswer:
        """Move a LoRA from models.json into its category of loras.json, unchanged.

        Raises `NotFound` when neither file has it, `NotALora`.
        """

        def decide(state: State) -> Decision[PromoteAnswer]:
            answer, edits = moving.promote(self._snapshot(state), version_id)
            return self._decided("promote", version_id, answer, edits)

        return self._run(decide, dry_run=dry_run)

    def demote(self, address: Address, *, dry_run: bool = False) -> ChangeAnswer:
        """Move an entry from loras.json back into models.json; raises `NotFound`."""
        return self._moved("demote", address, lambda s: moving.demote(s, address), dry_run)

    def remove(self, address: Address, *, dry_run: bool = False) -> ChangeAnswer:
        """Take an entry out; the model's file stays on the disk.

        Raises `NotFound`, and `BadReference` when several entries have that address.
        """
        return self._moved("remove", address, lambda s: moving.remove(s, address), dry_run)

    def move(
        self,
        address: Address,
        *,
        category: str | None = None,
        dest: str | None = None,
        dry_run: bool = False,
    ) -> ChangeAnswer:
        """Put an entry into another category of its file, or give it another folder.

        Raises `NotFound`, and `BadReference` for a folder outside the models root.
        """

        def decide(snapshot: Snapshot) -> moving.Moved:
            return moving.move(snapshot, address, category=category, dest=dest)

        return self._moved("move", address, decide, dry_run)

    def edit(
        self, address: Address, fields: Mapping[str, Any], *, dry_run: bool = False
    ) -> ChangeAnswer:
        """Write optional fields of an entry; an empty value takes a field out.

        Raises `NotFound`, and `BadReference` for a field or value that cannot be written.
        """
        return self._moved("edit", address, lambda s: editing.edit(s, address, fields), dry_run)

    def undo(self, change_id: str | None = None, *, dry_run: bool = False) -> ChangeAnswer:
        """Take a change back; without an id the newest that still holds.

        Raises `NotFound` when there is none, `Conflict` when something happened since that
        taking it back would lose or double.
        """

        def decide(state: State) -> Decision[ChangeAnswer]:
            changes = self.history()
            change = undoing.to_undo(changes, change_id)
            edits = undoing.inverse(state.documents, changes, change)
            answer = undoing.told(change, edits)
            return self._decided("undo", change.version_id, answer, edits, undoes=change.id)

        return self._run(decide, dry_run=dry_run)

    def take_in(self, bundle: Bundle, *, dry_run: bool = False) -> ExchangeAnswer:
        """Put in the entries of another catalog that this one does not have, as one change."""

        def decide(state: State) -> Decision[ExchangeAnswer]:
            answer, edits = incoming(self._snapshot(state), bundle)
            return self._decided("import", None, answer, edits)

        return self._run(decide, dry_run=dry_run)

    # -- deciding

    def _moved(
        self,
        verb: str,
        address: Address,
        decide_on: Callable[[Snapshot], moving.Moved],
        dry_run: bool,
    ) -> ChangeAnswer:
        def decide(state: State) -> Decision[ChangeAnswer]:
            moved = decide_on(self._snapshot(state))
            return self._decided(verb, address.version_id, moved.answer, moved.edits)

        return self._run(decide, dry_run=dry_run)

    def _decided(
        self,
        verb: str,
        version_id: int | str | None,
        answer: A,
        edits: Sequence[Edit],
        *,
        undoes: str | None = None,
    ) -> Decision[A]:
        if not edits:
            return Decision(answer)
        change = new_change(aware(self._now()), verb, version_id, edits, undoes=undoes)
        return Decision(answer.model_copy(update={"change_id": change.id}), change)

    def _run(self, decide: Callable[[State], Decision[A]], *, dry_run: bool) -> A:
        if not dry_run:
            written: Written[A] = self._store.write(decide)
            if not written.trouble:
                return written.answer
            notes = [*written.answer.notes, *written.trouble]
            return written.answer.model_copy(update={"notes": notes})
        state = self._store.read(recover=False)
        decision = decide(state)
        shown: dict[str, Any] = {"dry_run": True, "change_id": None}
        if decision.change is not None:
            existing = [name for name in NAMES if state.seen[name].digest is not None]
            shown["diff"] = diff_of(
                decision.change, state.documents, existing=existing, date=self._store.date()
            )
        return decision.answer.model_copy(update=shown)

    def _snapshot(self, state: State) -> Snapshot:
        known = self._known
        roots = Roots.at(self.models_root)
        exists = {name: state.seen[name].digest is not None for name in NAMES}
        if known is not None:
            if known.roots.stand_for(roots):
                roots = known.roots
            same = all(
                known.tables[name].document is state.documents[name]
                and known.documents[name].exists == exists[name]
                for name in NAMES
            )
            if same and known.roots is roots:
                return known
        tables = {
            name: known.tables[name]
            if known is not None and known.tables[name].document is document
            else Table(name, document)
            for name, document in state.documents.items()
        }
        snapshot = Snapshot(
            tables=tables,
            documents={
                name: DocumentInfo(one.path, exists[name], one.version, one.date)
                for name, one in state.documents.items()
            },
            roots=roots,
            remembered=self._store.private.last_change,
        )
        self._known = snapshot
        return snapshot
