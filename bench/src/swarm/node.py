"""One node of a libtorrent swarm: node.py seed|super-seed|get|leave ADDRESS TORRENT FOLDER."""

import os
import signal
import sys
import time

import libtorrent as lt

PORT = 6881
TRACE = "NODE_TRACE" in os.environ


def settings(address):
    chosen = lt.high_performance_seed()
    chosen.update(
        listen_interfaces=f"{address}:{PORT}",
        alert_mask=(lt.alert.category_t.all_categories if TRACE else lt.alert.category_t.status_notification)
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
        max_out_request_queue=3000,
        max_allowed_in_request_queue=4000,
        request_queue_time=3,
        connection_speed=200,
        torrent_connect_boost=200,
        min_reconnect_time=1,
        max_queued_disk_bytes=64 << 20,
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
            if isinstance(alert, (lt.file_error_alert, lt.listen_failed_alert)):
                sys.exit(alert.message())
            if TRACE:
                print(f"{time.time():.2f}", alert.what(), alert.message(), file=sys.stderr)
            yield alert


def torrent(path, folder):
    wanted = lt.add_torrent_params()
    wanted.ti = lt.torrent_info(path)
    wanted.save_path = folder
    # Managed by the session's queue it would wait half a second for its turn.
    wanted.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    wanted.storage_mode = lt.storage_mode_t.storage_mode_sparse
    return wanted


def seed(address, path, folder, is_super):
    wanted = torrent(path, folder)
    wanted.flags |= lt.torrent_flags.seed_mode
    if is_super:
        wanted.flags |= lt.torrent_flags.super_seeding
    session = lt.session(settings(address))
    session.add_torrent(wanted)
    for alert in alerts(session):
        if isinstance(alert, lt.listen_succeeded_alert):
            break
    print("ready", flush=True)
    signal.pause()


def get(address, path, folder, stays):
    session = lt.session(settings(address))
    handle = session.add_torrent(torrent(path, folder))
    for alert in alerts(session):
        if isinstance(alert, lt.torrent_finished_alert):
            handle.flush_cache()
        if isinstance(alert, lt.cache_flushed_alert) and handle.status().is_seeding:
            break
    print("done", flush=True)
    if stays:
        signal.pause()
    # The session's own shutdown takes seconds and is not part of the transfer.
    os._exit(0)


if __name__ == "__main__":
    mode, address, path, folder = sys.argv[1:]
    if mode in ("seed", "super-seed"):
        seed(address, path, folder, mode == "super-seed")
    else:
        get(address, path, folder, mode == "get")
