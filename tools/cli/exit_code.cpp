#include "exit_code.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>

namespace bzmq::cli {
namespace {

constexpr std::array<exit_code_entry, 13> table{{
    {exit_code::ok, "success; for node also a stop by Ctrl-C or SIGTERM"},
    {exit_code::failure, "failure: a file, a value, a message lost"},
    {exit_code::usage, "wrong usage: an unknown option, a bad value, a bad configuration"},
    {exit_code::timeout, "timeout: no subscriber, too few messages or no answer in time"},
    {exit_code::unavailable, "unavailable: no peer answered, or no path leads to the node"},
    {exit_code::authentication, "authentication: a peer refused our key"},
    {exit_code::no_such_key, "store: no such key"},
    {exit_code::type_clash, "store: the value under the key is of another type"},
    {exit_code::conflict, "store: the key is there, has another revision, or a master is there"},
    {exit_code::no_master, "store: no master of the store was found"},
    {exit_code::interrupted, "interrupted by Ctrl-C (SIGINT)"},
    {exit_code::broken_pipe, "whoever read the output closed it"},
    {exit_code::terminated, "ended by SIGTERM"},
}};

}  // namespace

std::span<const exit_code_entry> exit_codes() noexcept {
    return table;
}

exit_code exit_code_of(const error& why) noexcept {
    switch (why.code()) {
        case ec::none:
            return exit_code::ok;
        case ec::invalid_configuration:
        case ec::invalid_address:
        case ec::invalid_topic:
        case ec::insecure_listener:
            return exit_code::usage;
        case ec::peer_timeout:
        case ec::request_timeout:
            return exit_code::timeout;
        case ec::peer_unavailable:
        case ec::peer_incompatible:
        case ec::peer_invalid:
        case ec::peer_disconnect_during_handshake:
        case ec::redundant_connection:
        case ec::no_path_to_peer:
            return exit_code::unavailable;
        case ec::peer_not_authenticated:
            return exit_code::authentication;
        case ec::no_such_key:
            return exit_code::no_such_key;
        case ec::type_clash:
            return exit_code::type_clash;
        case ec::key_exists:
        case ec::revision_mismatch:
        case ec::master_exists:
            return exit_code::conflict;
        case ec::no_such_master:
        case ec::stale_data:
            return exit_code::no_master;
        default:
            return exit_code::failure;
    }
}

exit_code report(const error& why) {
    return report(exit_code_of(why), to_string(why));
}

exit_code report(exit_code code, std::string_view message) {
    warn(message);
    return code;
}

void warn(std::string_view message) {
    fmt::print(stderr, "bzmq-cli: {}\n", message);
}

}  // namespace bzmq::cli
