"""What the peers in Python share: reading the pages as rows of the table, and measuring."""
import contextlib
import datetime
import json
import resource
import sys
import time

TEXT, TIME = "text", "time"
APPOINTMENT = "APPOINTMENT_"

# Each column with its type, its paths, and the prefix of the event types that have it.
COLUMNS = [
    ("event_type", TEXT, [("type",)], ""),
    ("event_time", TIME, [("eventTime",)], ""),
    ("created_at", TIME, [("createdAt",)], ""),
    ("description", TEXT, [("description",)], ""),
    ("source_title", TEXT, [("source", "title")], ""),
    ("agent_username", TEXT, [("agent", "username")], ""),
    ("appointment_start_time", TIME, [("data", "startTime")], APPOINTMENT),
    ("appointment_end_time", TIME, [("data", "endTime")], APPOINTMENT),
    ("appointment_status", TEXT, [("data", "status")], APPOINTMENT),
    ("appointment_tour_type", TEXT, [("data", "tourType")], APPOINTMENT),
    ("message_direction", TEXT, [("data", "direction"), ("data", "messageDirection")], ""),
    ("message_from", TEXT, [("data", name) for name in ("from", "sender", "fromAddress", "fromNumber")], ""),
    ("message_to", TEXT, [("data", name) for name in ("to", "recipient", "toAddress", "toNumber")], ""),
    ("message_subject", TEXT, [("data", "subject"), ("data", "title")], ""),
    ("message_body", TEXT, [("data", name) for name in ("body", "text", "message", "content")], ""),
]


def take(event, path):
    """Takes a value out of the event, and the object that it leaves empty."""
    if len(path) == 1:
        return event.pop(path[0], None)
    inner = event.get(path[0])
    if not isinstance(inner, dict):
        return None
    value = inner.pop(path[1], None)
    if not inner:
        del event[path[0]]
    return value


def rows(pages):
    """Yields the events of all pages as dicts, an event of a prospect once."""
    utc = datetime.timezone.utc
    seen, of = set(), None
    with open(pages, encoding="utf-8") as lines:
        for line in lines:
            page = json.loads(line)
            if page["prospect_id"] != of:
                seen, of = set(), page["prospect_id"]
            for edge in page["edges"]:
                event = edge["node"]
                key = json.dumps(event, sort_keys=True)
                if key in seen:
                    continue
                seen.add(key)
                kind = event["type"]
                row = {"prospect_id": of}
                for name, form, paths, when in COLUMNS:
                    value = None
                    if kind.startswith(when):
                        for path in paths:
                            value = take(event, path)
                            if value is not None:
                                break
                    if form is TIME and value is not None:
                        value = datetime.datetime.fromisoformat(value).astimezone(utc)
                    row[name] = value
                row["event_date"] = (row["event_time"] or row["created_at"]).date()
                row["extra_json"] = json.dumps(event, ensure_ascii=False) if event else None
                yield row


@contextlib.contextmanager
def measured():
    """Prints, as the last line, what the block has taken: seconds, CPU seconds, and
    the most memory that the process has held, in bytes. Processes that it has
    started and awaited count as well, the largest of them for the memory."""
    before, started = usage(), time.perf_counter()
    yield
    seconds, after = time.perf_counter() - started, usage()
    cpu = sum(a.ru_utime + a.ru_stime - b.ru_utime - b.ru_stime for a, b in zip(after, before))
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak(*after)}))


def usage():
    return resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)


def peak(own, children):
    unit = 1 if sys.platform == "darwin" else 1024
    try:
        with open("/proc/self/status") as status:  # ru_maxrss has what the parent held, too
            held = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except OSError:
        held = own.ru_maxrss * unit
    return held + children.ru_maxrss * unit
