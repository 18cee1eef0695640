"""Who talks in the demo: a Matrix user over the client API, phones over the simulator's API, and
the transcript that reads both back."""

import hashlib
import hmac
import itertools
import json
import shutil
import textwrap
import time
import urllib.error
import urllib.parse
import urllib.request

from demo_peers import PeerFailed

STEP_SECONDS = 30
PASSWORD = "demo-password"
TEXT_COLUMN = 46


class StepFailed(Exception):
    """A step of the conversation did not happen."""


def request(method, url, body=None, token=None, timeout=30):
    """One JSON request; an answer that is no success is an error that says what it was."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    message = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(message, timeout=timeout) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        reason = error.read().decode(errors="replace")
        raise PeerFailed(f"{method} {url} answered {error.code} {reason}") from None


def quote(text):
    return urllib.parse.quote(text, safe="")


# --- Matrix --------------------------------------------------------------------------------------


def register(fleet, name):
    """Makes a user by the homeserver's shared secret, which is how its own tool does it."""
    url = f"{fleet.synapse_url}/_synapse/admin/v1/register"
    nonce = request("GET", url)["nonce"]
    fields = "\0".join((nonce, name, PASSWORD, "notadmin"))
    mac = hmac.new(fleet.secret.encode(), fields.encode(), hashlib.sha1).hexdigest()
    user = request("POST", url, {"nonce": nonce, "username": name, "password": PASSWORD,
                                 "admin": False, "mac": mac})
    return MatrixUser(fleet.synapse_url, user["user_id"], user["access_token"])


class MatrixUser:
    """What an ordinary client does for a person."""

    def __init__(self, homeserver, user_id, token):
        self.base = f"{homeserver}/_matrix/client/v3"
        self.id, self.token, self.password = user_id, token, PASSWORD
        self.transactions = itertools.count()

    def create_room(self, invited):
        return self.call("POST", f"{self.base}/createRoom", {
            "preset": "trusted_private_chat", "is_direct": True, "invite": [invited]})["room_id"]

    def write(self, room, text):
        return self.send(room, {"msgtype": "m.text", "body": text})

    def reply(self, room, event, text):
        """A reply with the quotation that clients put before the text."""
        quoted = f"> <{event['sender']}> {event['content']['body']}"
        return self.send(room, {
            "msgtype": "m.text", "body": f"{quoted}\n\n{text}",
            "m.relates_to": {"m.in_reply_to": {"event_id": event["event_id"]}}})

    def send(self, room, content):
        url = f"{self.room_url(room)}/send/m.room.message/demo{next(self.transactions)}"
        return self.call("PUT", url, content)["event_id"]

    def room_url(self, room):
        return f"{self.base}/rooms/{quote(room)}"

    def sync(self, since, wait_ms):
        everything = json.dumps({"room": {"timeline": {"limit": 500}}})
        query = {"timeout": wait_ms, "filter": everything, **({"since": since} if since else {})}
        return self.call("GET", f"{self.base}/sync?{urllib.parse.urlencode(query)}")

    def call(self, method, url, body=None):
        return request(method, url, body, self.token)


# --- phones --------------------------------------------------------------------------------------


class Phones:
    """The simulator's virtual handsets."""

    def __init__(self, simulator):
        self.base = simulator

    def messages(self, number):
        return request("GET", f"{self.base}/handsets/{number}/messages")

    def send(self, number, to, text):
        request("POST", f"{self.base}/handsets/{number}/send", {"to": to, "text": text})


# --- the transcript ------------------------------------------------------------------------------


class Transcript:
    """Reads rooms and phones, and prints each new line once, in order of their own clocks."""

    def __init__(self, user, phones):
        self.user, self.phones = user, phones
        self.rooms, self.numbers = {}, []
        self.since = None
        self.events, self.messages = {}, {}
        self.names = {}

    def close(self):
        """Prints what came since the last step."""
        self.read()

    def follow_room(self, room, label):
        self.rooms[room] = label

    def follow_phone(self, number):
        self.numbers.append(number)

    def joined(self, user):
        is_join = lambda event: (event["type"] == "m.room.member" and event["state_key"] == user
                                 and event["content"]["membership"] == "join")
        return self.room_line(f"{user} joins", is_join)

    def room_line(self, what, is_it):
        return self.until(what, lambda: first(self.events.values(), is_it))

    def phone_line(self, what, is_it):
        is_whole = lambda message: message["complete"] and is_it(message)
        return self.until(what, lambda: first(self.messages.values(), is_whole))

    def until(self, what, find):
        deadline = time.monotonic() + STEP_SECONDS
        while time.monotonic() < deadline:
            self.read()
            found = find()
            if found:
                return found
        raise StepFailed(f"this did not happen within {STEP_SECONDS} s: {what}")

    def is_after(self, event, earlier_id):
        """Whether the room has an event after another one, which it must have."""
        order = list(self.events)
        return earlier_id in order and order.index(event["event_id"]) > order.index(earlier_id)

    # --- reading ---------------------------------------------------------------------------------

    def read(self):
        lines = self.read_phones() + self.read_rooms()
        for when, where, who, text in sorted(lines):
            show(when, where, who, text)

    def read_rooms(self):
        news = self.user.sync(self.since, wait_ms=200 if self.since else 0)
        self.since = news["next_batch"]
        joined = news.get("rooms", {}).get("join", {})
        return [line for room, label in self.rooms.items() if room in joined
                for event in joined[room]["timeline"]["events"]
                for line in self.take_event(label, event)]

    def take_event(self, label, event):
        self.events[event["event_id"]] = event
        text = self.words(event)
        who = self.names.get(event["sender"], event["sender"])
        return [(event["origin_server_ts"], label, who, text)] if text else []

    def words(self, event):
        """What a person would see of an event, if anything."""
        content = event["content"]
        if event["type"] == "m.room.member" and content["membership"] == "join":
            self.names[event["state_key"]] = content.get("displayname") or event["state_key"]
            return f"({event['state_key']} joins)"
        if event["type"] == "m.room.member":
            return f"({content['membership']}: {event['state_key']})"
        if event["type"] == "m.reaction":
            return self.reaction(content["m.relates_to"])
        return content.get("body") if event["type"] == "m.room.message" else None

    def reaction(self, relation):
        target = self.events.get(relation["event_id"])
        said = target["content"].get("body", "") if target else relation["event_id"]
        said = said.rpartition("\n\n")[2]
        return f"{relation['key']} to: {textwrap.shorten(said, 40, placeholder=' …')}"

    def read_phones(self):
        return [line for number in self.numbers for message in self.phones.messages(number)
                for line in self.take_message(number, message)]

    def take_message(self, number, message):
        if not message["complete"] or message["id"] in self.messages:
            return []
        self.messages[message["id"]] = message
        parts = f"{message['segments']}\N{NO-BREAK SPACE}segment{'s'[:message['segments'] > 1]}"
        way = f"from +{message['from']}" if message["direction"] == "mt" else f"to +{message['to']}"
        return [(message["at"], "phone", way, f"{message['text']}  [{parts}]")]


def first(items, is_it):
    return next((item for item in items if is_it(item)), None)


def show(when, where, who, text):
    """One line: when, where, who; the text in a column of its own."""
    clock = time.strftime("%H:%M:%S", time.localtime(when / 1000)) + f".{when % 1000:03}"
    head = f"  {clock}  {where:<5}  {who[:22]:<22}  "
    width = max(shutil.get_terminal_size((110, 24)).columns - TEXT_COLUMN, 30)
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, width) or [""]]
    print(f"{head}{lines[0] if lines else ''}")
    for line in lines[1:]:
        print(f"{'':<{len(head)}}{line}")
