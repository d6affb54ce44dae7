"""One side of a libtorrent transfer: transfer.py seed|get TORRENT FOLDER SEEDER_PORT."""

import os
import signal
import sys

import libtorrent as lt

HOST = "127.0.0.1"


def settings(listen):
    chosen = lt.high_performance_seed()
    chosen.update(
        listen_interfaces=listen,
        alert_mask=lt.alert.category_t.status_notification
        | lt.alert.category_t.storage_notification
        | lt.alert.category_t.error_notification,
        enable_incoming_utp=False,
        enable_outgoing_utp=False,
        enable_dht=False,
        enable_lsd=False,
        enable_upnp=False,
        enable_natpmp=False,
        in_enc_policy=lt.enc_policy.disabled,
        out_enc_policy=lt.enc_policy.disabled,
        allow_multiple_connections_per_ip=True,
        max_out_request_queue=3000,
        max_allowed_in_request_queue=4000,
        request_queue_time=10,
        max_queued_disk_bytes=256 << 20,
        aio_threads=4,
        hashing_threads=2,
        download_rate_limit=0,
        upload_rate_limit=0,
        unchoke_slots_limit=-1,
    )
    return chosen


def alerts(session):
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.file_error_alert):
                sys.exit(alert.message())
            yield alert


def torrent(path, folder):
    wanted = lt.add_torrent_params()
    wanted.ti = lt.torrent_info(path)
    wanted.save_path = folder
    wanted.storage_mode = lt.storage_mode_t.storage_mode_sparse
    wanted.trackers = []
    return wanted


def seed(path, folder, port):
    session = lt.session(settings(f"{HOST}:{port}"))
    wanted = torrent(path, folder)
    wanted.flags |= lt.torrent_flags.seed_mode
    session.add_torrent(wanted)
    for alert in alerts(session):
        if isinstance(alert, lt.listen_failed_alert):
            sys.exit(alert.message())
        if isinstance(alert, lt.listen_succeeded_alert):
            break
    print("ready", flush=True)
    signal.pause()


def get(path, folder, port):
    session = lt.session(settings(f"{HOST}:0"))
    handle = session.add_torrent(torrent(path, folder))
    handle.connect_peer((HOST, port))
    for alert in alerts(session):
        if isinstance(alert, lt.torrent_finished_alert):
            handle.flush_cache()
        if isinstance(alert, lt.cache_flushed_alert) and handle.status().is_seeding:
            break
    # The session's own shutdown takes seconds and is not part of the transfer.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    mode, path, folder, port = sys.argv[1:]
    {"seed": seed, "get": get}[mode](path, folder, int(port))
