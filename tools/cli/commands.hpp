#pragma once

#include "context.hpp"
#include <CLI/CLI.hpp>

/// One function per command: adds it with its options to the parser; when the user chose it,
/// `context::run` runs it.
namespace bzmq::cli {

void add_keygen(CLI::App& app, context& ctx);
void add_node(CLI::App& app, context& ctx);
void add_gateway(CLI::App& app, context& ctx);
void add_pub(CLI::App& app, context& ctx);
void add_sub(CLI::App& app, context& ctx);
void add_topology(CLI::App& app, context& ctx);
void add_ping(CLI::App& app, context& ctx);
void add_request(CLI::App& app, context& ctx);
void add_serve(CLI::App& app, context& ctx);
void add_replay(CLI::App& app, context& ctx);
void add_logger(CLI::App& app, context& ctx);
void add_cluster(CLI::App& app, context& ctx);
void add_record(CLI::App& app, context& ctx);
void add_play(CLI::App& app, context& ctx);
void add_tap(CLI::App& app, context& ctx);
void add_store(CLI::App& app, context& ctx);
void add_store_file(CLI::App& app, context& ctx);
void add_completion(CLI::App& app, context& ctx);
void add_man(CLI::App& app, context& ctx);

/// The whole parser, as --help, the man page and the completions describe it.
void add_commands(CLI::App& app, context& ctx);

}  // namespace bzmq::cli
