"""The order of the loop's steps, as a LangGraph workflow with checkpoints: the only file that knows LangGraph."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Literal

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from designer.candidate import SlotResult, Slots, SlotState
from designer.loop import Loop, RunState
from designer.store import Json
from envs.errors import UserError

Answer = Callable[[Json], Json | None]
"""Asks the person about a review; None leaves the run paused."""


PLAIN = JsonPlusSerializer(pickle_fallback=False, allowed_json_modules=None, allowed_msgpack_modules=None)
"""Reads checkpoints as data: by default a checkpoint may name any callable, which is then imported and called."""


class Paused(Exception):
    """The run waits for a person's review of ``candidates``."""

    def __init__(self, candidates: tuple[str, ...]) -> None:
        super().__init__(f"{len(candidates)} programs wait for a review")
        self.candidates = candidates


def slot_graph(slots: Slots) -> Any:
    """One slot: a program is written, checked, criticised, and sent back while that helps."""

    def after_write(state: SlotState) -> Literal["check", "settle"]:
        return "check" if state.get("outcome") in ("written", "known") else "settle"

    def after_check(state: SlotState) -> Literal["criticize", "write", "settle"]:
        if state.get("outcome") == "verified":
            return "criticize"
        return "write" if state.get("outcome") == "back" else "settle"

    def after_critic(state: SlotState) -> Literal["write", "settle"]:
        return "write" if state.get("outcome") == "back" else "settle"

    graph: Any = StateGraph(SlotState, output_schema=SlotResult)
    graph.add_node("write", slots.write)
    graph.add_node("check", slots.check)
    graph.add_node("criticize", slots.criticize)
    graph.add_node("settle", slots.settle)
    graph.add_edge(START, "write")
    graph.add_conditional_edges("write", after_write)
    graph.add_conditional_edges("check", after_check)
    graph.add_conditional_edges("criticize", after_critic)
    graph.add_edge("settle", END)
    return graph.compile()


def run_graph(loop: Loop, slots: Slots) -> Any:
    """The whole run, not yet compiled; each slot of an iteration is a branch of its own."""

    def fan_out(state: RunState) -> list[Send] | Literal["finish"]:
        return [Send("candidate", slot) for slot in loop.slots(state)] or "finish"

    def written(state: RunState) -> RunState:
        return {}

    def after_written(state: RunState) -> list[Send] | Literal["review"]:
        return [Send("merge", slot) for slot in loop.merging(state)] or "review"

    def review(state: RunState) -> RunState:
        return loop.review(state, interrupt)

    def after_train(state: RunState) -> list[Send] | Literal["select"]:
        return [Send("analyze", job) for job in loop.analyses(state)] or "select"

    def after_select(state: RunState) -> list[Send] | Literal["confirm"]:
        return [Send("candidate", slot) for slot in loop.slots(state)] or "confirm"

    graph: Any = StateGraph(RunState)
    graph.add_node("controls", loop.controls)
    graph.add_node("candidate", slot_graph(slots))
    graph.add_node("written", written)
    graph.add_node("merge", slot_graph(slots))
    graph.add_node("review", review)
    graph.add_node("train", loop.train)
    graph.add_node("analyze", loop.analyze)
    graph.add_node("select", loop.select)
    graph.add_node("confirm", loop.confirm)
    graph.add_node("finish", loop.finish)
    graph.add_edge(START, "controls")
    graph.add_conditional_edges("controls", fan_out, ["candidate", "finish"])
    graph.add_edge("candidate", "written")
    graph.add_conditional_edges("written", after_written, ["merge", "review"])
    graph.add_edge("merge", "review")
    graph.add_edge("review", "train")
    graph.add_conditional_edges("train", after_train, ["analyze", "select"])
    graph.add_edge("analyze", "select")
    graph.add_conditional_edges("select", after_select, ["candidate", "confirm"])
    graph.add_edge("confirm", "finish")
    graph.add_edge("finish", END)
    return graph


def walk(loop: Loop, slots: Slots, connection: sqlite3.Connection, answer: Answer, *, commented: bool) -> None:
    """Go from wherever the checkpoints in ``connection`` stand to the end. A step that was done is not done again.

    A finished run goes on for one more iteration where a person has ``commented`` on it. Raises ``Paused`` when a
    review is not answered.
    """
    settings = loop.settings
    graph = run_graph(loop, slots).compile(checkpointer=SqliteSaver(connection, serde=PLAIN))
    config: Any = {
        "configurable": {"thread_id": "run"},
        "max_concurrency": settings.concurrency,
        "recursion_limit": 1_000 + 20 * settings.iterations,
    }
    try:
        state = graph.get_state(config)
    except (sqlite3.Error, OSError):  # the disk's trouble, or the file's: told by whoever opened it
        raise
    except Exception as error:  # whatever a checkpoint of somebody else's making may do to its reader
        raise UserError(f"the run's checkpoints cannot be read: {type(error).__name__}: {error}") from error
    start: Any = None if state.created_at else {"iteration": 0, "iterations": settings.iterations}
    if state.created_at and not state.next and commented:
        values = {"iterations": state.values["iteration"] + 1, "stopped_by": ""}
        config = {**config, **graph.update_state(config, values, as_node="select")}
        config["configurable"] = {"thread_id": "run"}
    while True:
        result = graph.invoke(start, config, durability="sync")
        waiting = (result or {}).get("__interrupt__") or graph.get_state(config).interrupts
        if not waiting:
            return
        told = answer(waiting[0].value)
        if told is None:
            raise Paused(tuple(waiting[0].value["candidates"]))
        start = Command(resume=told)
