"""Reads PDUs as hexadecimal lines, has smpp.pdu3 read and write each again, and prints what it wrote."""

import sys
from io import BytesIO

from smpp.pdu.pdu_encoding import PDUEncoder

encoder = PDUEncoder()
for line in sys.stdin:
    pdu = encoder.decode(BytesIO(bytes.fromhex(line)))
    print(encoder.encode(pdu).hex())
