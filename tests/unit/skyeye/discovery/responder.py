"""A camera that answers WS-Discovery, as bad as it is told to be: real sockets, on one address."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

ANSWER = """<?xml version="1.0" encoding="UTF-8"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope"
  xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"
  xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery">
<SOAP-ENV:Header><wsa:RelatesTo>{relates}</wsa:RelatesTo></SOAP-ENV:Header>
<SOAP-ENV:Body><d:ProbeMatches><d:ProbeMatch>
<wsa:EndpointReference><wsa:Address>{endpoint}</wsa:Address></wsa:EndpointReference>
<d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>
<d:Scopes>{scopes}</d:Scopes>
<d:XAddrs>{xaddrs}</d:XAddrs>
<d:MetadataVersion>1</d:MetadataVersion>
</d:ProbeMatch></d:ProbeMatches></SOAP-ENV:Body></SOAP-ENV:Envelope>"""
SCOPES = (
    "onvif://www.onvif.org/Profile/Streaming onvif://www.onvif.org/type/video_encoder "
    "onvif://www.onvif.org/hardware/DS-2CD2032-I onvif://www.onvif.org/name/HIKVISION%20DS-2CD2032-I "
    "onvif://www.onvif.org/location/city/yanzhou onvif://www.onvif.org/MAC/44:19:b6:00:11:22"
)
Answer = Callable[[bytes], list[bytes]]


def answer(
    question: bytes = b"",
    *,
    endpoint: str = "urn:uuid:0000-1",
    scopes: str = SCOPES,
    xaddrs: str = "http://127.0.0.1/onvif/device_service",
) -> bytes:
    """A well-behaved answer."""
    relates = re.search(rb"urn:uuid:[0-9a-f-]+", question)
    text = ANSWER.format(
        relates=relates[0].decode() if relates else "", endpoint=endpoint, scopes=scopes, xaddrs=xaddrs
    )
    return text.encode()


@asynccontextmanager
async def responder(address: str, answers: Answer, port: int = 0) -> AsyncIterator[int]:
    """Answer single questions on `address`; yield the port."""

    class Ear(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast(asyncio.DatagramTransport, transport)  # by its methods; in 3.11 not by its class

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            for one in answers(data):
                self.transport.sendto(one, addr)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Ear, local_addr=(address, port))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()
