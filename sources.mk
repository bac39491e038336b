# Written by scripts/list-sources.

base_sources = \
    src/base/arena.c \
    src/base/arena.h \
    src/base/buf.c \
    src/base/buf.h \
    src/base/cache.c \
    src/base/cache.h \
    src/base/clock.c \
    src/base/clock.h \
    src/base/crypto.c \
    src/base/crypto.h \
    src/base/decimal.h \
    src/base/fields.c \
    src/base/fields.h \
    src/base/hash.h \
    src/base/json.h \
    src/base/json_memory.h \
    src/base/json_read.c \
    src/base/json_write.c \
    src/base/log.c \
    src/base/log.h \
    src/base/log_file.c \
    src/base/log_file.h \
    src/base/log_line.c \
    src/base/log_line.h \
    src/base/mem.c \
    src/base/mem.h \
    src/base/metric.c \
    src/base/metric.h \
    src/base/metrics.def \
    src/base/process.c \
    src/base/process.h \
    src/base/rate.c \
    src/base/rate.h \
    src/base/setting.c \
    src/base/setting.h \
    src/base/setting_file.c \
    src/base/setting_file.h \
    src/base/setting_value.c \
    src/base/setting_value.h \
    src/base/str.c \
    src/base/str.h \
    src/base/url.c \
    src/base/url.h

net_sources = \
    src/net/call.c \
    src/net/call.h \
    src/net/hosts.c \
    src/net/hosts.h \
    src/net/http_address.c \
    src/net/http_address.h \
    src/net/http_answer.c \
    src/net/http_answer.h \
    src/net/http_client.c \
    src/net/http_client.h \
    src/net/http_connection.c \
    src/net/http_guard.c \
    src/net/http_guard.h \
    src/net/http_link.c \
    src/net/http_link.h \
    src/net/http_listener.c \
    src/net/http_private.h \
    src/net/http_refusal.c \
    src/net/http_routes.c \
    src/net/http_routes.h \
    src/net/http_server.c \
    src/net/http_server.h \
    src/net/mqtt_codec.c \
    src/net/mqtt_codec.h \
    src/net/mqtt_connection.c \
    src/net/mqtt_input.c \
    src/net/mqtt_listener.c \
    src/net/mqtt_message.c \
    src/net/mqtt_private.h \
    src/net/mqtt_server.c \
    src/net/mqtt_server.h \
    src/net/netpolicy.c \
    src/net/netpolicy.h \
    src/net/peer.c \
    src/net/peer.h \
    src/net/pem.c \
    src/net/pem.h \
    src/net/resolver.c \
    src/net/resolver.h \
    src/net/tls.h \
    src/net/tls_client.c \
    src/net/tls_identity.c \
    src/net/tls_identity.h \
    src/net/tls_server.c \
    src/net/tls_sessions.c \
    src/net/tls_sessions.h \
    src/net/wheel.c \
    src/net/wheel.h \
    src/net/x509_facts.c \
    src/net/x509_facts.h

store_sources = \
    src/store/embedded.c \
    src/store/embedded.h \
    src/store/embedded_dir.c \
    src/store/embedded_dir.h \
    src/store/keys.c \
    src/store/keys.h \
    src/store/redis.c \
    src/store/redis.h \
    src/store/redis_check.c \
    src/store/redis_check.h \
    src/store/redis_connection.c \
    src/store/redis_dial.c \
    src/store/redis_dial.h \
    src/store/redis_private.h \
    src/store/redis_reply.c \
    src/store/redis_request.c \
    src/store/redis_request.h \
    src/store/redis_script.c \
    src/store/redis_url.c \
    src/store/redis_url.h \
    src/store/scripts.h

core_sources = \
    src/core/assembly.c \
    src/core/core.c \
    src/core/core.h \
    src/core/deadletter.c \
    src/core/deadletter.h \
    src/core/deployment.c \
    src/core/deployment.h \
    src/core/error.c \
    src/core/error.h \
    src/core/errors.def \
    src/core/event.c \
    src/core/event.h \
    src/core/events.def \
    src/core/mailbox.c \
    src/core/mailbox.h \
    src/core/partition.c \
    src/core/partition.h

core_app_sources = \
    src/core/app/app.c \
    src/core/app/app.h \
    src/core/app/certificate.c \
    src/core/app/certificate.h \
    src/core/app/list.c \
    src/core/app/signing.c \
    src/core/app/signing.h \
    src/core/app/subscription.c \
    src/core/app/subscription.h \
    src/core/app/token.c \
    src/core/app/token.h

core_command_sources = \
    src/core/command/cancel.c \
    src/core/command/check.c \
    src/core/command/check.h \
    src/core/command/command.c \
    src/core/command/command.h \
    src/core/command/create.c \
    src/core/command/private.h \
    src/core/command/query.c \
    src/core/command/task.c \
    src/core/command/task.h

core_data_sources = \
    src/core/data/history.c \
    src/core/data/history.h \
    src/core/data/report.c \
    src/core/data/report.h \
    src/core/data/report_body.c \
    src/core/data/report_body.h \
    src/core/data/shadow.c \
    src/core/data/shadow.h \
    src/core/data/shadow_read.c \
    src/core/data/shadow_set.c

core_device_sources = \
    src/core/device/children.c \
    src/core/device/children.h \
    src/core/device/delete.c \
    src/core/device/device.c \
    src/core/device/device.h \
    src/core/device/facts.c \
    src/core/device/facts.h \
    src/core/device/find.c \
    src/core/device/group.c \
    src/core/device/group.h \
    src/core/device/index.c \
    src/core/device/index.h \
    src/core/device/layout.c \
    src/core/device/layout.h \
    src/core/device/list.c \
    src/core/device/login.c \
    src/core/device/members.c \
    src/core/device/members.h \
    src/core/device/node.c \
    src/core/device/node.h \
    src/core/device/node_holders.c \
    src/core/device/register.c \
    src/core/device/service_info.c \
    src/core/device/service_info.h \
    src/core/device/service_types.c \
    src/core/device/service_types.h \
    src/core/device/sync.c \
    src/core/device/update.h \
    src/core/device/verify.c \
    src/core/device/verify.h \
    src/core/device/watch.c \
    src/core/device/watch.h \
    src/core/device/write.c

core_model_sources = \
    src/core/model/capabilities.c \
    src/core/model/catalogue.c \
    src/core/model/change.c \
    src/core/model/events.c \
    src/core/model/events.h \
    src/core/model/model.c \
    src/core/model/model.h \
    src/core/model/package.c \
    src/core/model/package.h \
    src/core/model/parse.c \
    src/core/model/private.h \
    src/core/model/product.c \
    src/core/model/product.h \
    src/core/model/store.c \
    src/core/model/store.h

core_session_sources = \
    src/core/session/closing.c \
    src/core/session/private.h \
    src/core/session/session.c \
    src/core/session/session.h \
    src/core/session/sweep.c

push_sources = \
    src/push/acknowledger.c \
    src/push/assignment.c \
    src/push/assignment.h \
    src/push/breaker.c \
    src/push/breaker.h \
    src/push/circuit.c \
    src/push/circuit.h \
    src/push/circuit_private.h \
    src/push/circuit_send.c \
    src/push/delivery.h \
    src/push/dispatch.c \
    src/push/endpoint.c \
    src/push/handover.c \
    src/push/headers.c \
    src/push/headers.h \
    src/push/indexer.c \
    src/push/inspect.c \
    src/push/lane.c \
    src/push/latency.c \
    src/push/latency.h \
    src/push/notification.h \
    src/push/outcome.c \
    src/push/owner.c \
    src/push/pace.c \
    src/push/pace.h \
    src/push/park.c \
    src/push/park.h \
    src/push/pool.c \
    src/push/pool.h \
    src/push/push.c \
    src/push/push.h \
    src/push/reader.c \
    src/push/redirect.c \
    src/push/redirect.h \
    src/push/refresh.c \
    src/push/render_v1.c \
    src/push/render_v1.h \
    src/push/render_v1_command.c \
    src/push/result.c \
    src/push/result.h \
    src/push/scope.c \
    src/push/scope.h \
    src/push/share.c \
    src/push/stream.c \
    src/push/sweep_sessions.c \
    src/push/switches.c \
    src/push/target.c \
    src/push/target_send.c \
    src/push/timers.c \
    src/push/trust.c \
    src/push/trust.h \
    src/push/unpark.c \
    src/push/watcher.c

api_sources =

api_v1_sources = \
    src/api/v1/command_call.c \
    src/api/v1/command_object.c \
    src/api/v1/command_object.h \
    src/api/v1/command_query.c \
    src/api/v1/commands.c \
    src/api/v1/device_object.c \
    src/api/v1/device_object.h \
    src/api/v1/device_query.c \
    src/api/v1/devices.c \
    src/api/v1/groups.c \
    src/api/v1/history.c \
    src/api/v1/history_query.c \
    src/api/v1/history_query.h \
    src/api/v1/models.c \
    src/api/v1/registration.c \
    src/api/v1/security.c \
    src/api/v1/services.c \
    src/api/v1/shadow.c \
    src/api/v1/subscriptions.c \
    src/api/v1/v1.c \
    src/api/v1/v1.h

device_sources = \
    src/device/downlink.c \
    src/device/downlink.h \
    src/device/downlink_commands.c \
    src/device/downlink_family.c \
    src/device/gzip.c \
    src/device/gzip.h \
    src/device/https.c \
    src/device/https.h \
    src/device/mqtt.c \
    src/device/mqtt.h \
    src/device/mqtt_children.c \
    src/device/mqtt_down.c \
    src/device/mqtt_events.c \
    src/device/mqtt_events.h \
    src/device/mqtt_login.c \
    src/device/mqtt_login.h \
    src/device/mqtt_private.h \
    src/device/mqtt_shadow.c \
    src/device/mqtt_topics.c \
    src/device/mqtt_topics.h \
    src/device/mqtt_uplink.c \
    src/device/unsaid.c \
    src/device/unsaid.h

admin_sources = \
    src/admin/admin.c \
    src/admin/admin.h \
    src/admin/answer.c \
    src/admin/answer.h \
    src/admin/apps.c \
    src/admin/apps.h \
    src/admin/certificates.c \
    src/admin/certificates.h \
    src/admin/commands.c \
    src/admin/commands.h \
    src/admin/deadletters.c \
    src/admin/delivery.c \
    src/admin/delivery.h \
    src/admin/deployment.c \
    src/admin/deployment.h \
    src/admin/device_import.c \
    src/admin/devices.c \
    src/admin/devices.h \
    src/admin/groups.c \
    src/admin/groups.h \
    src/admin/models.c \
    src/admin/models.h \
    src/admin/sessions.c \
    src/admin/sessions.h \
    src/admin/shadow.c \
    src/admin/shadow.h \
    src/admin/signing.c \
    src/admin/signing.h \
    src/admin/watches.c \
    src/admin/watches.h

daemon_sources = \
    src/expiry.c \
    src/expiry.h \
    src/instance.c \
    src/instance.h \
    src/listeners.c \
    src/listeners.h \
    src/options.c \
    src/options.h \
    src/settings.c \
    src/settings.h

library_sources = $(base_sources) $(net_sources) $(store_sources) $(core_sources) $(core_app_sources) $(core_command_sources) $(core_data_sources) $(core_device_sources) $(core_model_sources) $(core_session_sources) $(push_sources) $(api_sources) $(api_v1_sources) $(device_sources) $(admin_sources) $(daemon_sources)

ctl_sources = \
    src/iotpushctl.c \
    src/ctl/app.c \
    src/ctl/app.h \
    src/ctl/certificate.c \
    src/ctl/client.c \
    src/ctl/client.h \
    src/ctl/command.c \
    src/ctl/csv.c \
    src/ctl/csv.h \
    src/ctl/ctl.h \
    src/ctl/delivery.c \
    src/ctl/device.c \
    src/ctl/device.h \
    src/ctl/device_import.c \
    src/ctl/facts.c \
    src/ctl/facts.h \
    src/ctl/file.c \
    src/ctl/file.h \
    src/ctl/group.c \
    src/ctl/model.c \
    src/ctl/progress.c \
    src/ctl/progress.h \
    src/ctl/shadow.c \
    src/ctl/show.c \
    src/ctl/show.h \
    src/ctl/status.c \
    src/ctl/table.c \
    src/ctl/table.h \
    src/ctl/watch.c

client_sources = \
    src/client/server.c \
    src/client/server.h \
    src/client/transfer.c \
    src/client/transfer.h

bench_sources = \
    src/bench/bench.h \
    src/bench/body.c \
    src/bench/body.h \
    src/bench/connect.c \
    src/bench/crowd.c \
    src/bench/crowd.h \
    src/bench/drain.c \
    src/bench/faults.c \
    src/bench/faults.h \
    src/bench/fleet.c \
    src/bench/fleet.h \
    src/bench/fleet_ask.c \
    src/bench/fleet_private.h \
    src/bench/fleet_server.c \
    src/bench/histogram.c \
    src/bench/histogram.h \
    src/bench/http_scan.c \
    src/bench/http_scan.h \
    src/bench/ledger.c \
    src/bench/ledger.h \
    src/bench/load.c \
    src/bench/load.h \
    src/bench/load_http.c \
    src/bench/load_mqtt.c \
    src/bench/load_private.h \
    src/bench/loop.c \
    src/bench/loop.h \
    src/bench/mqtt_client.c \
    src/bench/mqtt_client.h \
    src/bench/options.c \
    src/bench/options.h \
    src/bench/push.c \
    src/bench/receiver.c \
    src/bench/receiver.h \
    src/bench/report.c \
    src/bench/seen.c \
    src/bench/seen.h \
    src/bench/sink.c \
    src/bench/store.c \
    src/bench/summary.c \
    src/bench/summary.h \
    src/bench/target.c \
    src/bench/target.h \
    src/bench/tls.c \
    src/bench/tls.h \
    src/bench/trial.c \
    src/bench/trial.h \
    src/bench/wire.c \
    src/bench/wire.h

lua_scripts = \
    src/store/lua/acknowledge.lua \
    src/store/lua/app_change.lua \
    src/store/lua/app_delete.lua \
    src/store/lua/app_digest.lua \
    src/store/lua/app_signing_key.lua \
    src/store/lua/breaker_down.lua \
    src/store/lua/breaker_due.lua \
    src/store/lua/breaker_probe.lua \
    src/store/lua/breakers_read.lua \
    src/store/lua/certificate_put.lua \
    src/store/lua/certificate_read.lua \
    src/store/lua/certificates_list.lua \
    src/store/lua/child_add.lua \
    src/store/lua/child_offline.lua \
    src/store/lua/claim.lua \
    src/store/lua/command.lua \
    src/store/lua/command_list.lua \
    src/store/lua/command_page.lua \
    src/store/lua/command_task.lua \
    src/store/lua/command_unlist.lua \
    src/store/lua/device_create.lua \
    src/store/lua/device_credential.lua \
    src/store/lua/device_delete.lua \
    src/store/lua/device_modify.lua \
    src/store/lua/device_presence.lua \
    src/store/lua/device_seen.lua \
    src/store/lua/device_token.lua \
    src/store/lua/group_add.lua \
    src/store/lua/group_delete.lua \
    src/store/lua/group_list.lua \
    src/store/lua/group_modify.lua \
    src/store/lua/group_of_devices.lua \
    src/store/lua/group_read.lua \
    src/store/lua/group_remove.lua \
    src/store/lua/group_sweep.lua \
    src/store/lua/index_done.lua \
    src/store/lua/index_drop.lua \
    src/store/lua/index_fill.lua \
    src/store/lua/index_find.lua \
    src/store/lua/index_forget.lua \
    src/store/lua/index_take.lua \
    src/store/lua/index_unmark.lua \
    src/store/lua/index_write.lua \
    src/store/lua/instance_beat.lua \
    src/store/lua/lease_claim.lua \
    src/store/lua/lease_release.lua \
    src/store/lua/lease_renew.lua \
    src/store/lua/model_catalogue.lua \
    src/store/lua/model_delete.lua \
    src/store/lua/model_put.lua \
    src/store/lua/node_forget.lua \
    src/store/lua/node_release.lua \
    src/store/lua/node_reserve.lua \
    src/store/lua/node_tell.lua \
    src/store/lua/park.lua \
    src/store/lua/park_drop.lua \
    src/store/lua/pause_url.lua \
    src/store/lua/report.lua \
    src/store/lua/service_info.lua \
    src/store/lua/session_close.lua \
    src/store/lua/session_open.lua \
    src/store/lua/shadow_answer.lua \
    src/store/lua/shadow_due.lua \
    src/store/lua/shadow_set.lua \
    src/store/lua/subscribe.lua \
    src/store/lua/token_issue.lua \
    src/store/lua/token_revoke.lua \
    src/store/lua/unclaim.lua \
    src/store/lua/unpark.lua \
    src/store/lua/unsubscribe.lua \
    src/store/lua/watch_open.lua \
    src/store/lua/watch_read.lua

unit_tests = \
    tests/unit/base/arena_test \
    tests/unit/base/buf_test \
    tests/unit/base/cache_test \
    tests/unit/base/clock_test \
    tests/unit/base/crypto_test \
    tests/unit/base/decimal_test \
    tests/unit/base/fields_test \
    tests/unit/base/json_test \
    tests/unit/base/log_test \
    tests/unit/base/metric_test \
    tests/unit/base/rate_test \
    tests/unit/base/setting_test \
    tests/unit/base/str_test \
    tests/unit/base/url_test \
    tests/unit/bench/body_test \
    tests/unit/bench/faults_test \
    tests/unit/bench/histogram_test \
    tests/unit/bench/http_scan_test \
    tests/unit/bench/ledger_test \
    tests/unit/bench/seen_test \
    tests/unit/bench/target_test \
    tests/unit/core/app/signing_test \
    tests/unit/core/command/command_test \
    tests/unit/core/data/shadow_test \
    tests/unit/core/device/layout_test \
    tests/unit/core/error_test \
    tests/unit/core/event_test \
    tests/unit/core/model/model_test \
    tests/unit/device/mqtt_login_test \
    tests/unit/device/mqtt_topics_test \
    tests/unit/net/hosts_test \
    tests/unit/net/http_client_test \
    tests/unit/net/http_guard_test \
    tests/unit/net/http_routes_test \
    tests/unit/net/mqtt_codec_test \
    tests/unit/net/netpolicy_test \
    tests/unit/net/pem_test \
    tests/unit/net/resolver_test \
    tests/unit/net/tls_client_test \
    tests/unit/net/wheel_test \
    tests/unit/push/assignment_test \
    tests/unit/push/breaker_test \
    tests/unit/push/circuit_test \
    tests/unit/push/latency_test \
    tests/unit/push/pace_test \
    tests/unit/push/park_test \
    tests/unit/push/redirect_test \
    tests/unit/push/render_v1_test \
    tests/unit/push/result_test \
    tests/unit/push/scope_test \
    tests/unit/settings_test \
    tests/unit/store/embedded_test \
    tests/unit/store/keys_test \
    tests/unit/store/lua_test \
    tests/unit/store/redis_test

unit_test_helpers = \
    tests/unit/net/certificates.h

script_files = \
    scripts/bench \
    scripts/bench-devices \
    scripts/bench-mqtt \
    scripts/bench_server.py \
    scripts/check-docs \
    scripts/check-layers \
    scripts/cluster-demo \
    scripts/demo-receiver \
    scripts/deps \
    scripts/embed-lua \
    scripts/fuzz \
    scripts/lint \
    scripts/list-sources \
    scripts/quickstart \
    scripts/test

other_tests = \
    tests/blackbox/conftest.py \
    tests/blackbox/helpers/__init__.py \
    tests/blackbox/helpers/broker.py \
    tests/blackbox/helpers/certificates.py \
    tests/blackbox/helpers/cluster.py \
    tests/blackbox/helpers/dns.py \
    tests/blackbox/helpers/errors.py \
    tests/blackbox/helpers/haproxy.py \
    tests/blackbox/helpers/http.py \
    tests/blackbox/helpers/ledger.py \
    tests/blackbox/helpers/link.py \
    tests/blackbox/helpers/load.py \
    tests/blackbox/helpers/models.py \
    tests/blackbox/helpers/mqtt.py \
    tests/blackbox/helpers/nouns.py \
    tests/blackbox/helpers/passage.py \
    tests/blackbox/helpers/platform.py \
    tests/blackbox/helpers/receiver.py \
    tests/blackbox/helpers/redis.py \
    tests/blackbox/helpers/signature.py \
    tests/blackbox/helpers/waiting.py \
    tests/blackbox/pytest.ini \
    tests/blackbox/test_api_routes.py \
    tests/blackbox/test_auth.py \
    tests/blackbox/test_bench.py \
    tests/blackbox/test_bench_mqtt.py \
    tests/blackbox/test_breaker_scope.py \
    tests/blackbox/test_certificates.py \
    tests/blackbox/test_cluster.py \
    tests/blackbox/test_cluster_faults.py \
    tests/blackbox/test_command_callbacks.py \
    tests/blackbox/test_commands.py \
    tests/blackbox/test_ctl.py \
    tests/blackbox/test_ctl_device.py \
    tests/blackbox/test_daemon.py \
    tests/blackbox/test_delivery.py \
    tests/blackbox/test_delivery_breaker.py \
    tests/blackbox/test_delivery_https.py \
    tests/blackbox/test_delivery_settings.py \
    tests/blackbox/test_device_https.py \
    tests/blackbox/test_devices_manage.py \
    tests/blackbox/test_devices_query.py \
    tests/blackbox/test_devices_register.py \
    tests/blackbox/test_faults.py \
    tests/blackbox/test_groups.py \
    tests/blackbox/test_handover.py \
    tests/blackbox/test_history.py \
    tests/blackbox/test_http.py \
    tests/blackbox/test_instances.py \
    tests/blackbox/test_logs.py \
    tests/blackbox/test_model_devices.py \
    tests/blackbox/test_model_queries.py \
    tests/blackbox/test_models.py \
    tests/blackbox/test_mqtt.py \
    tests/blackbox/test_mqtt_commands.py \
    tests/blackbox/test_mqtt_downlink.py \
    tests/blackbox/test_mqtt_login.py \
    tests/blackbox/test_mqtt_presence.py \
    tests/blackbox/test_mqtt_uplink.py \
    tests/blackbox/test_mqtt_waiting.py \
    tests/blackbox/test_netpolicy.py \
    tests/blackbox/test_notifications.py \
    tests/blackbox/test_parking.py \
    tests/blackbox/test_receiver_samples.py \
    tests/blackbox/test_scripts_bench.py \
    tests/blackbox/test_services.py \
    tests/blackbox/test_shadow.py \
    tests/blackbox/test_signing.py \
    tests/blackbox/test_subscriptions.py \
    tests/blackbox/test_tls.py \
    tests/blackbox/test_watch.py \
    tests/fuzz/json_fuzz.c \
    tests/fuzz/model_fuzz.c \
    tests/fuzz/model_fuzz/content.json \
    tests/fuzz/model_fuzz/meter.zip \
    tests/fuzz/model_fuzz/stored.zip \
    tests/fuzz/mqtt_fuzz.c \
    tests/fuzz/mqtt_fuzz/answers \
    tests/fuzz/mqtt_fuzz/connect \
    tests/fuzz/mqtt_fuzz/connect31 \
    tests/fuzz/mqtt_fuzz/publish \
    tests/fuzz/mqtt_fuzz/subscribe \
    tests/fuzz/pem_fuzz.c
