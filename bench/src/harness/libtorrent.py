# What the scripts below have in common; the harness puts it before them.

import os
import signal
import sys

import libtorrent as lt


def common_settings(listen, categories):
    chosen = lt.high_performance_seed()
    chosen.update(
        listen_interfaces=listen,
        alert_mask=categories
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
        aio_threads=4,
        hashing_threads=2,
        download_rate_limit=0,
        upload_rate_limit=0,
        unchoke_slots_limit=-1,
    )
    return chosen


def wait_complete(session, handle):
    """Until the torrent is finished and the cache flushed."""
    for alert in alerts(session):
        if isinstance(alert, lt.torrent_finished_alert):
            handle.flush_cache()
        if isinstance(alert, lt.cache_flushed_alert) and handle.status().is_seeding:
            return


