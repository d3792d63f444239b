#include "bzmq/configuration.hpp"

#include "commands.hpp"
#include "output.hpp"
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <exception>
#include <iostream>
#include <sstream>

namespace bzmq::cli {

void add_commands(CLI::App& app, context& ctx) {
    app.name("bzmq-cli");
    app.description("Publish, subscribe and look around in a bzmq overlay.");
    app.require_subcommand(1);
    app.set_version_flag("--version", "bzmq-cli " BZMQ_CLI_VERSION, "Print the version and end");
    for (const auto add : {add_keygen, add_node, add_gateway, add_pub, add_sub, add_topology,
                           add_ping, add_request, add_serve, add_replay, add_record, add_play,
                           add_tap, add_logger, add_cluster, add_store, add_store_file,
                           add_completion, add_man}) {
        add(app, ctx);
    }
    // Last, since commands would inherit it.
    std::string footer = "Exit codes:\n";
    for (const auto& entry : exit_codes()) {
        footer += fmt::format("  {:<26}{}\n", static_cast<int>(entry.code), entry.meaning);
    }
    app.footer(
        footer
        + "Every option of an endpoint is also --bzmq.OPTION=VALUE; --help-bzmq lists them.");
}

namespace {

/// The parser takes "[1,2]" for two arguments and "++" for the end of a command's, and behind "--" it
/// forgets the command once that has an argument for each of its names. Users mean values: a zero
/// byte, which no argument of a process can have, hides them from it.
void keep_whole(std::vector<std::string>& arguments, CLI::App& app) {
    const auto values = std::find(arguments.begin(), arguments.end(), "--");
    for (auto each = arguments.begin(); each != arguments.end(); ++each) {
        if (each > values || (each->starts_with('[') && each->ends_with(']')) || *each == "++") {
            each->insert(0, 1, '\0');
        }
    }
    if (values != arguments.end()) {
        arguments.erase(values);
    }
    for (auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        for (auto* option : command->get_options([](const CLI::Option* one) {
                 return one->get_items_expected_max() > 0;  // No switch.
             })) {
            option->transform([](std::string text) {
                if (text.starts_with('\0')) {
                    text.erase(0, 1);
                }
                return text;
            });
        }
    }
}

/// libzmq allocates for each encrypted frame; above these thresholds glibc would map and unmap
/// memory every time, which costs more than the encryption. A program may decide that, a library
/// must not.
void tune_allocator() {
    constexpr int threshold = 256 << 20;
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, threshold);
}

int run(int argc, const char* const* argv) {
    context ctx;
    ctx.arguments.assign(argv, argv + argc);
    // The library takes its own arguments. What they, the file and the environment say does not
    // count yet: commands that start an endpoint read them again, together with their own options,
    // and for others they need not even be right.
    configuration own;
    const auto taken = own.init(argc, argv);
    if (own.cli_helptext_printed()) {
        return 0;
    }
    if (!taken && own.remainder().empty()) {
        return static_cast<int>(report(taken.error()));
    }
    CLI::App app;
    add_commands(app, ctx);
    auto arguments = own.remainder();
    keep_whole(arguments, app);
    std::reverse(arguments.begin(), arguments.end());
    try {
        app.parse(arguments);
    } catch (const CLI::Success& help) {
        std::ostringstream text;
        const auto code = static_cast<exit_code>(app.exit(help, text, std::cerr));
        line_output{}.buffer() += text.str();
        return static_cast<int>(line_output::outcome(code));
    } catch (const CLI::ParseError& wrong) {
        app.exit(wrong);
        return static_cast<int>(exit_code::usage);
    }
    interrupt signals;
    ctx.interrupt = &signals;
    peer_watch watch;
    ctx.watch = &watch;
    return static_cast<int>(line_output::outcome(ctx.run()));
}

}  // namespace
}  // namespace bzmq::cli

int main(int argc, char** argv) {
    bzmq::cli::tune_allocator();
    try {
        return bzmq::cli::run(argc, argv);
    } catch (const std::exception& failure) {
        return static_cast<int>(bzmq::cli::report(bzmq::cli::exit_code::failure, failure.what()));
    }
}
