"""Reads all pages of an API, and prints the figures of figures.sql that follow from
them. It uses Python's standard library only.

truth.py ENDPOINT PROSPECTS.csv
"""
import base64
import collections
import datetime
import decimal
import hashlib
import json
import re
import sys
import urllib.parse
import urllib.request

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)


def events(endpoint, prospect):
    after = ""
    while True:
        request = urllib.request.Request(f"{endpoint}/prospect/{prospect}/events?first=100{after}")
        request.add_header("x-api-key", "syndication-prospect-TEST-KEY")
        with urllib.request.urlopen(request) as response:
            page = json.load(response, parse_float=decimal.Decimal)
        for edge in page["edges"]:
            yield edge["node"]
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = "&after=" + urllib.parse.quote(page["pageInfo"]["endCursor"], safe="")


def identity(prospect, event):
    created = datetime.datetime.fromisoformat(event["createdAt"]) - EPOCH
    key = f"{prospect}\n{event['type']}\n{created // datetime.timedelta(microseconds=1)}"
    return base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()[:15]).decode()


_, endpoint, prospects = sys.argv
count = collections.Counter()
reminders, segments = decimal.Decimal(0), 0
for prospect in open(prospects).read().split()[1:]:
    for event in events(endpoint, prospect):
        data = event["data"]
        day = datetime.datetime.fromisoformat(event["eventTime"]).astimezone(UTC).date()
        count[f"rows {event['type']} {day}"] += 1
        count[f"id {identity(prospect, event)}"] += 1
        if "sentiment" in data:
            count[f"sentiment {data['sentiment']}"] += 1
        reminders += data.get("reminders", 0)
        match data.get("segments"):
            case None:
                pass
            case int(number):
                segments += number
            case str(text) if re.fullmatch("[0-9]+", text):
                segments += int(text)
                count["segments in extra_json, next to a value"] += 1
            case _:
                count["segments in extra_json, without a value"] += 1
for figure, n in count.items():
    print(figure, n)
print(f"reminders {reminders:.3f}")
print("segments", segments)
