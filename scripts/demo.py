"""Holds a conversation between a Matrix room and a phone, on real parts, and prints it.

Starts Synapse, the SMSC simulator and the gateway on free loopback ports. What a line of the
transcript says is read back: room lines from the homeserver, phone lines from the simulator.
"""

import argparse
import contextlib
import decimal
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import time

from demo_clients import Phones, StepFailed, Transcript, register
from demo_peers import SERVER, Fleet, PeerFailed

PHONE = "447700900123"
GHOST = f"@.tel.{PHONE}:{SERVER}"
BOT = f"@.tel.bot:{SERVER}"
PRICE = decimal.Decimal("0.045")
AMOUNT = re.compile(r"(?:balance|credit is) (-?\d+(?:\.\d+)?)")

HELLO = "Hello from Matrix 👋 This is a room, you are a phone."
LONG = (
    "One more, and longer than a single SMS may be. A text message carries 160 characters of the "
    "GSM alphabet; a longer one is cut into segments of 152, each with a small header that says "
    "which part of which message it is, and the phone puts them together again. This text needs "
    "three of them, with {curly}, [square] and a € sign, which count double. Did it arrive whole?"
)
FROM_PHONE = "It did. Greetings from a pocket, with a € and a 🙂!"
ANSWER = "Good to hear. This one is a reply in the room."


def main():
    arguments = parse_arguments()
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = pathlib.Path(tempfile.mkdtemp(prefix="matrix-smpp-demo-"))
    fleet = Fleet(pathlib.Path(arguments.target).resolve(), home)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            run(fleet, arguments.once)
        print("\nEnding everything that was started.")
        fleet.stop()
    except (PeerFailed, StepFailed, OSError) as problem:
        report(problem, fleet)
        return 1
    finally:
        fleet.kill()
    shutil.rmtree(home, ignore_errors=True)
    return 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="target", help="the build folder")
    parser.add_argument("--once", action="store_true", help="end after the conversation")
    return parser.parse_args()


def run(fleet, once):
    begun = time.monotonic()
    heading("Starting")
    fleet.start(say=lambda line: print(f"  {line}"))
    alice = register(fleet, "alice")
    fleet.credit("top-up", alice.id, "5.00")
    print(f"  {alice.id} has an account and credit")
    room = converse(fleet, alice)
    print(f"\nEvery step happened, in {time.monotonic() - begun:.0f} s.")
    if not once:
        bob = register(fleet, "bob")
        fleet.credit("top-up", bob.id, "0.20")
        invite_to_try(fleet, alice, room)
        fleet.keep_up(say=print)


# --- the conversation ----------------------------------------------------------------------------


def converse(fleet, alice):
    phones = Phones(fleet.simulator_url)
    with contextlib.closing(Transcript(alice, phones)) as transcript:
        heading("The balance before")
        bot_room = alice.create_room(BOT)
        transcript.follow_room(bot_room, "bot")
        transcript.joined(BOT)
        before = balance(fleet, alice, bot_room, transcript)

        heading(f"The conversation: {alice.id} and the phone +{PHONE}")
        room = alice.create_room(GHOST)
        transcript.follow_room(room, "room")
        transcript.follow_phone(PHONE)
        transcript.joined(GHOST)
        segments = talk(alice, room, phones, transcript)

        heading("The balance after")
        after = balance(fleet, alice, bot_room, transcript)
        check_bill(before, after, segments)
    return room


def talk(alice, room, phones, transcript):
    """Both directions, and what became of each message. Returns the segments that were sent."""
    short = tell_phone(alice.write(room, HELLO), HELLO, transcript)
    long = tell_phone(alice.write(room, LONG), LONG, transcript)
    if long["segments"] != 3:
        raise StepFailed(f"the long text took {long['segments']} segments, not 3")
    phones.send(PHONE, short["from"], FROM_PHONE)
    said = transcript.room_line(f"the phone's text is in the room as {GHOST}",
                                lambda event: is_text(event, GHOST, FROM_PHONE))
    answer = tell_phone(alice.reply(room, said, ANSWER), ANSWER, transcript)
    if {short["from"], long["from"], answer["from"]} != {short["from"]}:
        raise StepFailed("the conversation did not keep its number")
    return sum(message["segments"] for message in (short, long, answer))


def tell_phone(event_id, text, transcript):
    """What was written reaches the phone, and the room sees that it did."""
    arrived = transcript.phone_line(
        f"the phone has the text {text[:30]!r}",
        lambda message: message["text"] == text and message["direction"] == "mt")
    transcript.room_line(f"✓ at {text[:30]!r}", lambda event: is_check(event, event_id))
    return arrived


def is_text(event, sender, body):
    return event["sender"] == sender and event["content"].get("body") == body


def is_check(event, event_id):
    relation = event["content"].get("m.relates_to", {})
    return (event["type"] == "m.reaction" and event["sender"] == GHOST
            and relation.get("event_id") == event_id and relation.get("key", "").startswith("✓"))


def balance(fleet, alice, bot_room, transcript):
    """Asks the bot in its own room and the command line; they must agree."""
    asked = alice.write(bot_room, "balance")
    answer = transcript.room_line("the bot tells the balance", lambda event: (
        event["sender"] == BOT and AMOUNT.search(event["content"].get("body", ""))
        and transcript.is_after(event, asked)))
    told, printed = amount(answer["content"]["body"]), amount(fleet.credit("balance", alice.id))
    print(f"  command line: credit balance {alice.id} -> {printed}")
    if told != printed:
        raise StepFailed(f"the bot says {told}, the command line {printed}")
    return printed


def amount(text):
    found = AMOUNT.search(text)
    if not found:
        raise StepFailed(f"no amount in {text!r}")
    return decimal.Decimal(found.group(1))


def check_bill(before, after, segments):
    print(f"  {segments} segments at {PRICE}: {before} - {before - after} = {after}")
    if before - after != segments * PRICE:
        raise StepFailed(f"{segments} segments cost {before - after}, not {segments * PRICE}")


# --- what a person sees --------------------------------------------------------------------------


def heading(text):
    print(f"\n{text}\n")


def invite_to_try(fleet, alice, room):
    print(f"""
It stays up. Ctrl-C ends everything.

  homeserver   {fleet.synapse_url}   (any Matrix client: give this as the homeserver's address)
  login        alice / {alice.password}      credit 5.00, the conversation above
               bob / {alice.password}        credit 0.20, owner of the number +447700900999
  phones       {fleet.simulator_url}/   (see what each phone gets, and type on it)
  metrics      {fleet.ops_url}/metrics   also /health and /ready
  files, logs  {fleet.home}

Try
  - as alice: a direct chat with @.tel.447700900124:{SERVER}, not encrypted; another phone
  - a group with two phones and bob; the phones see who speaks
  - +4915112345678 goes by a shared short code: the phone cannot answer. +33... has no route
  - on the page of phones: text +447700900999 from any number, and bob is invited
  - as bob: a long text, until his credit ends
  - in the bot's room ({BOT}): help, balance, price +447700900123
  - kill -9 {fleet.pid("gateway")} (gateway), {fleet.pid("synapse")} (Synapse) or \
{fleet.pid("simulator")} (simulator): it is started again
  - without a client:
      curl -X PUT -H 'Authorization: Bearer {alice.token}' \\
        -d '{{"msgtype": "m.text", "body": "by hand"}}' \\
        '{alice.room_url(room)}/send/m.room.message/'$RANDOM
      curl {fleet.simulator_url}/handsets/{PHONE}/messages
      {fleet.command_line("credit", "balance", alice.id)}
""")


def report(problem, fleet):
    print(f"\nThe demo failed: {problem}", file=sys.stderr)
    for name, lines in fleet.last_words():
        print(f"\n--- the end of {name} ---\n{lines}", file=sys.stderr)
    print(f"\nEverything it wrote is in {fleet.home}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
