# One node of a libtorrent swarm: node.py seed|super-seed|get|leave ADDRESS TORRENT FOLDER.

import time

PORT = 6881
TRACE = "NODE_TRACE" in os.environ


def settings(address):
    categories = lt.alert.category_t.all_categories if TRACE else lt.alert.category_t.status_notification
    chosen = common_settings(f"{address}:{PORT}", categories)
    chosen.update(
        request_queue_time=3,
        connection_speed=200,
        torrent_connect_boost=200,
        min_reconnect_time=1,
        max_queued_disk_bytes=64 << 20,
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
    wait_complete(session, handle)
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
