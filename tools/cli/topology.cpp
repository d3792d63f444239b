#include "commands.hpp"
#include "option_checks.hpp"
#include "output.hpp"
#include "overlay_view.hpp"
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

namespace bzmq::cli {
namespace {

using node_list = std::vector<topology_node>;

struct options {
    bool dot = false;
    std::size_t nodes = 1;
};

/// The overlay as a tree from our own place: each endpoint below the last one on our path to it.
class tree_printer {
  public:
    tree_printer(const node_list& nodes, const endpoint_id& self) : nodes_(nodes) {
        for (const auto& node : nodes_) {
            by_id_[node.id] = &node;
            if (node.id == self) {
                root_ = &node;
            }
        }
        for (const auto& node : nodes_) {
            if (const auto* above = parent_of(node); above != nullptr) {
                children_[above->id].push_back(&node);
                in_tree_.insert(std::minmax(above->id, node.id));
            }
        }
        for (auto& [id, below] : children_) {
            std::sort(below.begin(), below.end(),
                      [](const auto* a, const auto* b) { return a->name < b->name; });
        }
    }

    void print(line_output& out) const {
        if (root_ != nullptr) {
            print_node(out, *root_, 0, {}, {});
        }
        std::set<std::pair<endpoint_id, endpoint_id>> seen = in_tree_;
        bool first = true;
        for (const auto& node : nodes_) {
            for (const auto& link : node.links) {
                if (seen.insert(std::minmax(node.id, link.to)).second) {
                    if (std::exchange(first, false)) {
                        out.line("other links:");
                    }
                    out.line(fmt::format("    {} -- {}  cost {}", label(node.id, node.name),
                                         label_in(nodes_, link.to), link.cost));
                }
            }
        }
    }

  private:
    [[nodiscard]] const topology_node* parent_of(const topology_node& node) const {
        const topology_node* found = nullptr;
        for (const auto& link : node.links) {
            const auto other = by_id_.find(link.to);
            if (other == by_id_.end() || other->second->distance + 1 != node.distance) {
                continue;
            }
            const auto& candidate = *other->second;
            if (&candidate == root_ || candidate.next_hop == node.next_hop) {
                return &candidate;
            }
            found = found == nullptr ? &candidate : found;
        }
        return found;
    }
    static std::uint32_t cost_between(const topology_node& above, const topology_node& node) {
        for (const auto& link : above.links) {
            if (link.to == node.id) {
                return link.cost;
            }
        }
        return 0;
    }
    void print_node(line_output& out, const topology_node& node, std::uint32_t cost,
                    const std::string& indent, const std::string& branch) const {
        auto line = indent + branch + label(node.id, node.name) + "  " + short_id(node.id);
        if (&node == root_) {
            line += "  (this endpoint)";
        } else {
            line += fmt::format("  distance {}  cost {}", node.distance, cost);
        }
        if (!node.filter.empty()) {
            line += "  subscribes";
            for (const auto& prefix : node.filter) {
                line += ' ';
                append_topic(line, prefix.empty() ? std::string_view{"\"\""} : prefix);
            }
        }
        out.line(line);
        const auto below = children_.find(node.id);
        if (below == children_.end()) {
            return;
        }
        const auto deeper = indent + (branch.empty() ? "" : branch == "`-- " ? "    " : "|   ");
        for (const auto* child : below->second) {
            print_node(out, *child, cost_between(node, *child), deeper,
                       child == below->second.back() ? "`-- " : "|-- ");
        }
    }

    const node_list& nodes_;
    const topology_node* root_ = nullptr;
    std::map<endpoint_id, const topology_node*> by_id_;
    std::map<endpoint_id, std::vector<const topology_node*>> children_;
    std::set<std::pair<endpoint_id, endpoint_id>> in_tree_;
};

/// A string or, where the prefix is not UTF-8, its typed form, which is in base64 then.
void append_json_prefix(std::string& out, const std::string& prefix) {
    auto typed = to_json(data{prefix});
    if (typed.find("\"encoding\":\"base64\"") != std::string::npos) {
        out += typed;
    } else {
        append_json_string(out, prefix);
    }
}

void print_json(line_output& out, const node_list& nodes) {
    for (const auto& node : nodes) {
        std::string line = fmt::format("{{\"id\":\"{}\",\"name\":", to_string(node.id));
        append_json_string(line, node.name);
        line += fmt::format(",\"distance\":{},\"next_hop\":", node.distance);
        line += node.next_hop ? '"' + to_string(node.next_hop) + '"' : "null";
        line += ",\"links\":[";
        for (const auto& link : node.links) {
            line +=
                fmt::format("{}{{\"to\":\"{}\",\"cost\":{}}}",
                            &link == node.links.data() ? "" : ",", to_string(link.to), link.cost);
        }
        line += "],\"filter\":[";
        for (const auto& prefix : node.filter) {
            line += &prefix == node.filter.data() ? "" : ",";
            append_json_prefix(line, prefix);
        }
        line += "],\"public_key\":";
        if (node.public_key.empty()) {
            line += "null";
        } else {
            append_json_string(line, node.public_key);
        }
        out.line(line + "}");
    }
}

void print_dot(line_output& out, const node_list& nodes, const endpoint_id& self) {
    out.line("graph overlay {");
    for (const auto& node : nodes) {
        std::string line = fmt::format("    \"{}\" [label=", to_string(node.id));
        append_json_string(line, label(node.id, node.name));
        out.line(line + (node.id == self ? ", style=bold];" : "];"));
    }
    std::set<std::pair<endpoint_id, endpoint_id>> seen;
    for (const auto& node : nodes) {
        for (const auto& link : node.links) {
            if (seen.insert(std::minmax(node.id, link.to)).second) {
                out.line(fmt::format("    \"{}\" -- \"{}\" [label={}];", to_string(node.id),
                                     to_string(link.to), link.cost));
            }
        }
    }
    out.line("}");
}

exit_code run(const options& how, const context& ctx) {
    auto node = open_endpoint(ctx, "bzmq-cli topology");
    if (!node) {
        return end_with(node.error(), ctx);
    }
    const auto nodes = settled_topology(*node, ctx, how.nodes);
    if (!nodes) {
        return end_with(nodes.error(), ctx);
    }
    line_output out;
    if (how.dot) {
        print_dot(out, *nodes, node->node_id());
    } else if (ctx.common.json) {
        print_json(out, *nodes);
    } else {
        tree_printer{*nodes, node->node_id()}.print(out);
    }
    return out.good() ? exit_code::ok : exit_code::broken_pipe;
}

}  // namespace

void add_topology(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command = app.add_subcommand("topology", "Print the whole overlay as a tree of paths");
    auto* dot = command->add_flag("--dot", how->dot, "Print a graph for Graphviz");
    command
        ->add_option("--nodes", how->nodes,
                     "First wait until N endpoints are within reach, this one included")
        ->type_name("N")
        ->check(whole_number());
    add_common(*command, ctx.common);
    dot->excludes(command->get_option("--json"));
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
