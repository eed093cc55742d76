"""Simulated cameras, a process of their own: `python -m agent.demo.camera --spec FILE`. They speak ONVIF, RTSP and
WS-Discovery as cameras do, well or, when told so, badly. The demo, the tests and the benches use them."""
