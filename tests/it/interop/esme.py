"""An ESME made with smpplib: binds, sends texts, and prints one JSON line for each thing that comes.

Arguments: port, system_id, password, own address, phone. Reads texts to send as JSON lines.
"""

import json
import sys

import smpplib.client
import smpplib.consts
import smpplib.gsm


def tell(**what):
    print(json.dumps(what), flush=True)


def received(pdu):
    """A receipt, or one part of an SMS."""
    if pdu.esm_class & smpplib.consts.SMPP_GSMFEAT_UDHI:
        tell(kind="part", header=pdu.short_message[:6].hex(), text=decoded(pdu, pdu.short_message[6:]))
    elif pdu.receipted_message_id:
        tell(kind="receipt", id=pdu.receipted_message_id.decode(), state=pdu.message_state)
    else:
        tell(kind="sms", source=pdu.source_addr.decode(), text=decoded(pdu, pdu.short_message))


def decoded(pdu, octets):
    return octets.decode("utf-16-be" if pdu.data_coding == smpplib.consts.SMPP_ENCODING_ISO10646 else "latin-1")


def send(client, own, phone, text):
    parts, coding, flags = smpplib.gsm.make_parts(text)
    for part in parts:
        client.send_message(
            source_addr_ton=smpplib.consts.SMPP_TON_INTL,
            source_addr=own,
            dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
            destination_addr=phone,
            short_message=part,
            data_coding=coding,
            esm_class=flags,
            registered_delivery=True,
        )


def main():
    port, system_id, password, own, phone = sys.argv[1:]
    client = smpplib.client.Client("127.0.0.1", int(port), allow_unknown_opt_params=True)
    client.set_message_sent_handler(lambda pdu: tell(kind="accepted", id=pdu.message_id.decode()))
    client.set_message_received_handler(received)
    client.connect()
    client.bind_transceiver(system_id=system_id, password=password)
    tell(kind="bound")
    for line in sys.stdin:
        send(client, own, phone, json.loads(line))
    client.listen()


main()
