"""Every timeout and limit of the uplink, with its reason. One value, so that tests can shorten what they wait for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, by the machine's clock; sizes and counts as they are named."""

    # connecting
    lookup_s: float = 5.0
    """A DNS look-up: a resolver's own two tries at 2 s, and some."""
    tcp_s: float = 10.0
    """A TCP connect over all addresses: SYN, and its resends at 1, 3 and 7 s."""
    tls_s: float = 10.0
    """A TLS handshake over a bad mobile line."""
    connack_s: float = 10.0
    """CONNACK after CONNECT; a broker that looks users up in a database may take a second."""
    modern_connack_s: float = 3.0
    """The same for MQTT 5: amqtt does not refuse what it does not know, it stays silent."""
    stagger_s: float = 0.25
    """Head start of each address before the next is tried beside it (RFC 8305 5: 250 ms)."""

    # a living connection
    puback_s: float = 10.0
    """Own deadline of every acknowledgement; then the connection is given up: MQTT 5 (4.4) forbids a resend on it."""
    alarm_puback_s: float = 5.0
    """The same for an alarm, which then has another way sooner."""
    suback_s: float = 10.0
    close_s: float = 2.0
    """Flushing DISCONNECT; what takes longer is closed hard."""
    session_expiry_s: int = 3600
    """MQTT 5: how long the broker keeps commands for us while we are away. Older ones are hardly still meant."""
    healthy_s: float = 60.0
    """A connection that lasted so long was good: the next reconnect begins with a short wait again."""

    # reconnecting
    retry_first_s: float = 5.0
    """Ceiling of the first jittered wait: a fleet of 3,000 comes back over 5 s, not at once."""
    retry_cap_s: float = 60.0
    retry_alarm_s: float = 2.0
    """Ceiling of a wait while an alarm is due; refused credentials are waited out all the same."""
    takeover_s: float = 120.0
    """Ceiling of the wait after another client took our id: the two must not throw each other out in turn."""
    takeover_alarm_s: float = 10.0
    """The same while an alarm is due: it must get through, and so must the other's."""
    early_loss_s: float = 30.0
    """Not every broker tells a takeover; a connection that it closes so soon after CONNACK may have met one."""
    early_losses: int = 3
    """So many in a row are taken for one."""
    return_s: float = 60.0
    """On another broker than the first, look at the first so often (with 20 % jitter)."""
    quiesce_s: float = 10.0
    """Returning waits for open acknowledgements, at most so long."""
    modern_again_s: float = 3600.0
    """A broker that spoke 3.1.1 only is asked for MQTT 5 again at the first connect after so long: it may have been
    updated, or only have been slow."""
    offline_fault_s: float = 30.0
    """No connection for so long is a fault; a broker's restart is shorter."""

    # publishing
    window: int = 20
    """Open acknowledgements: 20 to 100 is best for a local broker, and 1,000 would slow the client down."""
    alarm_reserve: int = 4
    """Of these only for alarms."""
    drain_per_s: float = 15_000.0
    """Pace of a backlog. Unpaced, the p99 of a fresh alarm doubles."""
    page: int = 200
    """Rows that are read from the journal at a time, per lane."""
    ack_batch_s: float = 0.25
    """Acknowledgements of faults and events are marked together, so often; those of alarms at once."""
    repeated_s: float = 1.0
    """`campus.alarm.repeated` goes out once in so long per point."""
    held_rows: int = 1000
    """Repeats remembered for later; beyond them they are found again in the journal."""
    extras: int = 1024
    """Retained topics and replies that wait for the broker, each: 200 cameras, and the states of as many points."""
    curves: int = 2048
    """Batches of measures that wait for the broker, of all points together: 20 curves in batches of a minute for an
    hour and a half, some 2 MiB."""
    denied_s: float = 600.0
    """A kind of message (status, state, reply ...) that the broker refused is not tried again for so long, as
    mosquitto 2.0.11 answers a refused message by closing the connection. Events are set aside one by one instead."""
    after_refusal_s: float = 0.5
    """Ceiling of the wait after such an end: each one is progress, and others wait behind it."""
    heartbeat_s: float = 30.0
    """DESIGN 6."""
    stuck_s: float = 3.0
    """An alarm that is unacknowledged by the broker for so long shows as stuck on its lamp."""
    undelivered_s: float = 30.0
    """An alarm that waits for so long is a fault: it is late by then (DESIGN 4)."""

    # receipts
    resend_cap_s: float = 600.0
    """Ceiling of the wait between two resends of what has no receipt."""
    resend_others_s: float = 60.0
    """First wait before faults and events without receipt are sent again on the same connection."""

    # commands
    command_queue: int = 32
    """Commands that wait; further ones are refused as busy."""
    command_workers: int = 4
    """Commands that run at once: one slow output must not hold up an acknowledgement."""
    camera_workers: int = 4
    """Commands to cameras that run at once beside them: each may take 18 s, and an acknowledgement must not wait."""
    command_s: float = 60.0
    """A handler that takes longer is ended, and its command fails."""
    refusals_per_minute: int = 20
    """Refused commands that the journal records; the rest are counted in one event a minute."""
    replay_rows: int = 10_000
    """Rows of one replay. At the paced rate they take a few seconds; the district asks again for more."""
    replay_per_s: float = 1000.0
    """Pace of a replay."""
    incoming_bytes: int = 256 * 1024
    """Largest packet that we take at all (MQTT 5: Maximum Packet Size). Commands over 64 KiB are refused with a
    reply; beyond this the connection ends, so that nobody can fill the gateway's memory."""


DEFAULT = Limits()
