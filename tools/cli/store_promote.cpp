#include "overlay_view.hpp"
#include "store_command.hpp"
#include <fmt/format.h>

#include <chrono>

namespace bzmq::cli {
namespace {

using clock = std::chrono::steady_clock;

/// The endpoint that `wanted`, an id or a name, means; nil where that is empty.
expected<endpoint_id> find_endpoint(const endpoint& node, const std::string& wanted,
                                    clock::time_point deadline, const context& ctx) {
    if (wanted.empty()) {
        return endpoint_id{};
    }
    const auto found = await_nodes(node, wanted, deadline, ctx);
    if (!found) {
        return tl::unexpected{found.error()};
    }
    if (found->size() > 1) {
        return fail(ec::invalid_configuration,
                    "several endpoints are called " + wanted + ": name one by its id");
    }
    return found->front().id;
}

}  // namespace

exit_code run_store_promote(const store_options& how, const context& ctx) {
    auto node = open_endpoint(ctx, "bzmq-cli store");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    const auto deadline = clock::now() + ctx.common.timeout_or_default();
    const auto at = find_endpoint(*node, how.arguments.empty() ? "" : how.arguments.front(),
                                  deadline, ctx);
    if (!at) {
        return end_with(at.error(), ctx);
    }
    expected<endpoint_id> master;
    {
        const interrupt::handler stop{*ctx.interrupt, [&node] { node->shutdown(); }};
        master = node->promote_store(how.store, *at, deadline - clock::now());
    }
    if (!master) {
        return end_with(master.error(), ctx);
    }
    line_output out;
    if (ctx.common.json) {
        out.buffer() += "{\"store\":";
        append_json_string(out.buffer(), how.store);
        out.buffer() += fmt::format(",\"master\":\"{}\"}}", to_string(*master));
    } else {
        out.buffer() += to_string(*master);
    }
    out.end_line();
    out.flush();
    return out.good() ? exit_code::ok : exit_code::broken_pipe;
}

}  // namespace bzmq::cli
