# One side of a libtorrent transfer: transfer.py seed|get TORRENT FOLDER SEEDER_PORT.

HOST = "127.0.0.1"


def settings(listen):
    chosen = common_settings(listen, lt.alert.category_t.status_notification)
    chosen.update(
        allow_multiple_connections_per_ip=True,
        max_allowed_in_request_queue=4000,
        request_queue_time=10,
        max_queued_disk_bytes=256 << 20,
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
    wait_complete(session, handle)
    # The session's own shutdown takes seconds and is not part of the transfer.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    mode, path, folder, port = sys.argv[1:]
    {"seed": seed, "get": get}[mode](path, folder, int(port))
