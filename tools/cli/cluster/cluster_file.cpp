#include "cluster/cluster_file.hpp"

#include "bzmq/configuration.hpp"
#include "bzmq/network_info.hpp"

#include "context.hpp"
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <set>
#include <sstream>

namespace bzmq::cli {
namespace {

unsigned line_of(const toml::node& node) { return node.source().begin.line; }

/// The word among `known` that was probably meant; empty where none is near.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known) {
    std::string_view best;
    std::size_t least = 3;  // So many edits may be between them.
    for (const auto candidate : known) {
        std::vector<std::size_t> row(candidate.size() + 1);
        for (std::size_t j = 0; j < row.size(); ++j) {
            row[j] = j;
        }
        for (std::size_t i = 1; i <= word.size(); ++i) {
            std::size_t before = std::exchange(row[0], i);
            for (std::size_t j = 1; j < row.size(); ++j) {
                const auto change = before + (word[i - 1] == candidate[j - 1] ? 0 : 1);
                before = row[j];
                row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
            }
        }
        if (row.back() < least) {
            least = row.back();
            best = candidate;
        }
    }
    return best;
}

class cluster_reader {
  public:
    cluster_reader(const std::string& file, std::vector<cluster_flaw>& flaws) : flaws_(flaws) {
        out_.file = file;
        folder_ = std::filesystem::absolute(file).parent_path();
    }

    cluster_description read(const toml::table& document);

  private:
    void flaw(unsigned line, std::string text) { flaws_.push_back({line, std::move(text)}); }
    void only(const toml::table& in, const std::string& where,
              std::initializer_list<std::string_view> known);
    std::string text(const toml::table& in, std::string_view key, std::string fallback);
    std::vector<std::string> texts(const toml::table& in, std::string_view key);
    void duration(const toml::table& in, std::string_view key, timespan& out);
    setting_list settings(const toml::node* node, const std::string& where);
    std::string path(std::string_view relative) const {
        return (folder_ / relative).lexically_normal().string();
    }
    void read_supervision(const toml::node& node);
    void read_node(const toml::table& in);
    void read_logger(const toml::table& in, cluster_node& node);
    void read_store(const std::string& name, const toml::node& node);
    void check_nodes();
    void check_settings(const cluster_node& node);
    void check_name(unsigned line, const std::string& what, const std::string& name);

    std::vector<cluster_flaw>& flaws_;
    cluster_description out_;
    std::filesystem::path folder_;
};

void cluster_reader::only(const toml::table& in, const std::string& where,
                          std::initializer_list<std::string_view> known) {
    for (const auto& [key, node] : in) {
        if (std::find(known.begin(), known.end(), key.str()) == known.end()) {
            const auto meant = nearest(key.str(), known);
            flaw(key.source().begin.line,
                 fmt::format("{}: unknown key {}{}", where, key.str(),
                             meant.empty() ? fmt::format("; known are {}", fmt::join(known, ", "))
                                           : fmt::format("; did you mean {}?", meant)));
        }
    }
}

std::string cluster_reader::text(const toml::table& in, std::string_view key,
                                 std::string fallback) {
    const auto* node = in.get(key);
    if (node == nullptr) {
        return fallback;
    }
    const auto found = node->value_exact<std::string>();
    if (!found) {
        flaw(line_of(*node), fmt::format("{0}: expected text in quotes, {0} = \"...\"", key));
    }
    return found.value_or(std::move(fallback));
}

std::vector<std::string> cluster_reader::texts(const toml::table& in, std::string_view key) {
    std::vector<std::string> out;
    const auto* node = in.get(key);
    if (node == nullptr) {
        return out;
    }
    const auto* list = node->as_array();
    const auto wrong = [&] {
        flaw(line_of(*node), fmt::format("{0}: expected a list of texts, {0} = [\"...\"]", key));
    };
    if (list == nullptr) {
        wrong();
        return out;
    }
    for (const auto& element : *list) {
        const auto one = element.value_exact<std::string>();
        if (!one) {
            wrong();
            return {};
        }
        out.push_back(*one);
    }
    return out;
}

void cluster_reader::duration(const toml::table& in, std::string_view key, timespan& out) {
    const auto* node = in.get(key);
    if (node == nullptr) {
        return;
    }
    const auto found = node->value_exact<std::string>();
    const auto parsed = found ? parse_duration(*found) : std::nullopt;
    if (!parsed || parsed->count() == 0) {
        flaw(line_of(*node), fmt::format("{0}: expected a duration, {0} = \"10s\"", key));
        return;
    }
    out = *parsed;
}

/// Options pass on as they stand; the endpoint's own reader judges them (`check_settings`).
setting_list cluster_reader::settings(const toml::node* node, const std::string& where) {
    setting_list out;
    if (node == nullptr) {
        return out;
    }
    const auto* in = node->as_table();
    if (in == nullptr) {
        flaw(line_of(*node), where + ": expected a table of options");
        return out;
    }
    static const std::set<std::string_view> ours{"name", "listen", "peers",
                                                 "cert", "allow",  "server_key"};
    for (const auto& [key, value] : *in) {
        const std::string name{key.str()};
        if (ours.contains(name)) {
            flaw(key.source().begin.line,
                 where + ": " + name + " follows from the cluster; leave it out");
            continue;
        }
        std::ostringstream form;
        value.visit([&](const auto& what) { form << what; });
        out.emplace_back(name, form.str());
    }
    return out;
}

void cluster_reader::read_supervision(const toml::node& node) {
    const auto* in = node.as_table();
    if (in == nullptr) {
        flaw(line_of(node), "supervise: expected a table, [supervise]");
        return;
    }
    only(*in, "supervise", {"restart_min", "restart_max", "restarts", "window", "stop_timeout"});
    auto& to = out_.supervise;
    duration(*in, "restart_min", to.restart_min);
    duration(*in, "restart_max", to.restart_max);
    duration(*in, "window", to.window);
    duration(*in, "stop_timeout", to.stop_timeout);
    if (const auto* count = in->get("restarts")) {
        const auto value = count->value_exact<std::int64_t>().value_or(-1);
        if (value < 0 || value > 1'000'000) {
            flaw(line_of(*count), "restarts: expected a whole number from 0 to 1000000");
        } else {
            to.restarts = static_cast<unsigned>(value);
        }
    }
    if (to.restart_max < to.restart_min) {
        flaw(line_of(node), "supervise: restart_max must be at least restart_min");
    }
}

void cluster_reader::check_name(unsigned line, const std::string& what, const std::string& name) {
    const bool good = !name.empty() && name.size() <= 64
                      && std::all_of(name.begin(), name.end(), [](unsigned char c) {
                             return std::isalnum(c) != 0 || c == '-' || c == '_';
                         });
    if (!good) {
        flaw(line, fmt::format("{}: \"{}\": expected up to 64 letters, digits, - and _", what,
                               name));
    }
}

void cluster_reader::read_node(const toml::table& in) {
    cluster_node node;
    node.line = line_of(in);
    node.name = text(in, "name", {});
    check_name(node.line, "name", node.name);
    const auto where = "node " + node.name;
    only(in, where,
         {"name", "role", "listen", "peers", "command", "topics", "logs", "format", "json_time",
          "rotate_size", "rotate_every", "gzip", "settings"});
    const auto role = text(in, "role", {});
    const auto found = std::find_if(all_roles.begin(), all_roles.end(),
                                    [&](cluster_role one) { return to_string(one) == role; });
    if (found == all_roles.end()) {
        const auto* at = in.get("role");
        flaw(at != nullptr ? line_of(*at) : node.line,
             where + ": role: expected worker, manager, proxy, logger or agent");
    } else {
        node.role = *found;
    }
    node.listen = text(in, "listen", {});
    if (const auto* at = in.get("listen"); at != nullptr && !node.listen.empty()) {
        const auto url = normalise_url(node.listen);
        if (!url) {
            flaw(line_of(*at), where + ": listen: expected tcp://HOST:PORT or ipc:///PATH");
        } else if (url->ends_with(":0")) {
            flaw(line_of(*at), where + ": listen: the others must know the port; choose one");
        }
    }
    if (in.contains("peers")) {
        node.peers = texts(in, "peers");
    }
    node.command = texts(in, "command");
    node.topics = texts(in, "topics");
    read_logger(in, node);
    node.settings = settings(in.get("settings"), where + ": settings");
    out_.nodes.push_back(std::move(node));
}

void cluster_reader::read_logger(const toml::table& in, cluster_node& node) {
    const bool is_logger = node.role == cluster_role::logger && node.command.empty();
    for (const auto* key :
         {"topics", "logs", "format", "json_time", "rotate_size", "rotate_every", "gzip"}) {
        if (const auto* at = in.get(key); at != nullptr && !is_logger) {
            flaw(line_of(*at), fmt::format("node {}: {} is for loggers without a command only",
                                           node.name, key));
        }
    }
    node.logs = path(text(in, "logs", "logs"));
    const std::pair<const char*, const char*> passed[] = {{"format", "--log-format"},
                                                          {"json_time", "--json-time"},
                                                          {"rotate_size", "--rotate-size"},
                                                          {"rotate_every", "--rotate-every"}};
    for (const auto& [key, option] : passed) {
        if (const auto value = text(in, key, {}); !value.empty()) {
            node.log_options.insert(node.log_options.end(), {option, value});
        }
    }
    if (const auto* gzip = in.get("gzip")) {
        const auto on = gzip->value_exact<bool>();
        if (!on) {
            flaw(line_of(*gzip), "gzip: expected true or false");
        } else if (*on) {
            node.log_options.emplace_back("--gzip");
        }
    }
    const auto one_of = [&](const char* key, std::initializer_list<std::string_view> known) {
        const auto value = text(in, key, {});
        if (!value.empty() && std::find(known.begin(), known.end(), value) == known.end()) {
            flaw(line_of(*in.get(key)),
                 fmt::format("{}: expected {}", key, fmt::join(known, " or ")));
        }
    };
    one_of("format", {"tsv", "json"});
    one_of("json_time", {"epoch", "iso8601"});
    if (const auto every = text(in, "rotate_every", {});
        !every.empty() && !parse_duration(every)) {
        flaw(line_of(*in.get("rotate_every")),
             "rotate_every: expected a duration, rotate_every = \"1h\"");
    }
}

void cluster_reader::read_store(const std::string& name, const toml::node& node) {
    const auto* in = node.as_table();
    if (in == nullptr) {
        flaw(line_of(node), "stores: expected a table for each, [stores.NAME]");
        return;
    }
    const auto where = "store " + name;
    only(*in, where, {"master", "folder", "clones"});
    cluster_store store{name, text(*in, "master", {}), {}, texts(*in, "clones"), line_of(node)};
    check_name(store.line, where, name);
    if (in->contains("folder")) {
        store.folder = path(text(*in, "folder", {}));
    }
    const auto known = [&](const std::string& who, const char* as) {
        const auto* found = out_.find(who);
        if (found == nullptr) {
            flaw(store.line, fmt::format("{}: {}: no node is called \"{}\"", where, as, who));
        } else if (!found->command.empty() || found->role == cluster_role::logger) {
            flaw(store.line, fmt::format("{}: {}: {} runs no bzmq-cli node; choose another", where,
                                         as, who));
        }
    };
    if (store.master.empty()) {
        flaw(store.line, where + ": master: expected the name of a node");
    } else {
        known(store.master, "master");
    }
    for (const auto& clone : store.clones) {
        known(clone, "clones");
    }
    out_.stores.push_back(std::move(store));
}

/// Asks the library's own reader about the options of a node.
void cluster_reader::check_settings(const cluster_node& node) {
    if (node.settings.empty()) {
        return;
    }
    std::vector<std::string> arguments{"bzmq-cli"};
    for (const auto& [name, value] : node.settings) {
        auto plain = value;
        if (plain.size() >= 2 && (plain.front() == '"' || plain.front() == '\'')) {
            plain = plain.substr(1, plain.size() - 2);
        }
        arguments.push_back("--bzmq." + name + '=' + plain);
    }
    std::vector<const char*> raw;
    for (const auto& argument : arguments) {
        raw.push_back(argument.c_str());
    }
    configuration config;
    if (const auto good = config.init(static_cast<int>(raw.size()), raw.data()); !good) {
        flaw(node.line, "node " + node.name + ": settings: " + good.error().message());
    }
}

void cluster_reader::check_nodes() {
    std::map<std::string, unsigned> names;
    std::map<std::string, std::string> urls;
    std::map<std::string, std::string> folders;
    for (const auto& node : out_.nodes) {
        const auto where = "node " + node.name;
        if (const auto [at, fresh] = names.emplace(node.name, node.line); !fresh) {
            flaw(node.line, fmt::format("{}: line {} has this name already; choose another", where,
                                        at->second));
        }
        const auto url = normalise_url(node.listen);
        if (url && !node.listen.empty()) {
            if (const auto [at, fresh] = urls.emplace(*url, node.name); !fresh) {
                flaw(node.line, fmt::format("{}: listen: {} listens there already", where,
                                            at->second));
            }
        }
        if (node.role == cluster_role::logger && node.command.empty()) {
            if (const auto [at, fresh] = folders.emplace(node.logs, node.name); !fresh) {
                flaw(node.line, fmt::format("{}: logs: {} writes to {} already", where, at->second,
                                            node.logs));
            }
        }
        for (const auto& peer : node.peers.value_or(std::vector<std::string>{})) {
            const auto* found = out_.find(peer);
            if (found == nullptr) {
                flaw(node.line, fmt::format("{}: peers: no node is called \"{}\"", where, peer));
            } else if (found->listen.empty()) {
                flaw(node.line, fmt::format("{}: peers: {} does not listen; give it an address",
                                            where, peer));
            } else if (found == &node) {
                flaw(node.line, where + ": peers: it cannot peer with itself; leave it out");
            }
        }
        check_settings(node);
    }
    if (out_.nodes.empty()) {
        flaw(0, "no nodes; add a table [[node]] with name, role and listen for each");
    }
}

cluster_description cluster_reader::read(const toml::table& document) {
    only(document, "cluster",
         {"name", "state", "keys", "encrypt", "supervise", "settings", "node", "stores"});
    const auto stem = std::filesystem::path{out_.file}.stem().string();
    out_.name = text(document, "name", stem);
    check_name(1, "name", out_.name);
    out_.state = path(text(document, "state", stem + ".state"));
    out_.keys = document.contains("keys") ? path(text(document, "keys", {})) : out_.state + "/keys";
    if (const auto* encrypt = document.get("encrypt")) {
        const auto on = encrypt->value_exact<bool>();
        if (!on) {
            flaw(line_of(*encrypt), "encrypt: expected true or false");
        }
        out_.encrypt = on.value_or(true);
    }
    if (const auto* supervise = document.get("supervise")) {
        read_supervision(*supervise);
    }
    const auto* nodes = document.get("node");
    if (nodes != nullptr && nodes->is_array_of_tables()) {
        for (const auto& node : *nodes->as_array()) {
            read_node(*node.as_table());
        }
    } else if (nodes != nullptr) {
        flaw(line_of(*nodes), "node: expected a list of tables, [[node]] for each");
    }
    // Options for all, [settings], and for a role, [settings.worker]; a node's own go before.
    setting_list common;
    std::map<std::string_view, setting_list> by_role;
    if (const auto* in = document["settings"].as_table()) {
        auto general = *in;
        for (const auto role : all_roles) {
            const auto name = to_string(role);
            by_role[name] = settings(in->get(name), fmt::format("settings.{}", name));
            general.erase(name);
        }
        common = settings(&general, "settings");
    }
    for (auto& node : out_.nodes) {
        for (const auto* more : {&by_role[to_string(node.role)], &common}) {
            for (const auto& setting : *more) {
                const auto same = [&](const auto& own) { return own.first == setting.first; };
                if (std::none_of(node.settings.begin(), node.settings.end(), same)) {
                    node.settings.push_back(setting);
                }
            }
        }
    }
    check_nodes();
    if (const auto* stores = document["stores"].as_table()) {
        for (const auto& [key, store] : *stores) {
            read_store(std::string{key.str()}, store);
        }
    }
    std::stable_sort(flaws_.begin(), flaws_.end(),
                     [](const auto& a, const auto& b) { return a.line < b.line; });
    return std::move(out_);
}

}  // namespace

std::string_view to_string(cluster_role role) noexcept {
    switch (role) {
        case cluster_role::logger:
            return "logger";
        case cluster_role::manager:
            return "manager";
        case cluster_role::proxy:
            return "proxy";
        case cluster_role::worker:
            return "worker";
        case cluster_role::agent:
            return "agent";
    }
    return "";
}

const cluster_node* cluster_description::find(std::string_view wanted) const noexcept {
    const auto found = std::find_if(nodes.begin(), nodes.end(),
                                    [&](const auto& node) { return node.name == wanted; });
    return found == nodes.end() ? nullptr : &*found;
}

expected<cluster_description> read_cluster(const std::string& file,
                                           std::vector<cluster_flaw>& flaws) {
    errno = 0;
    std::ifstream in{file};
    const std::string all{std::istreambuf_iterator<char>{in}, {}};
    if (!in.is_open() || in.bad() || errno == EISDIR) {
        return fail(ec::cannot_open_file, file + ": " + std::strerror(errno != 0 ? errno : EIO));
    }
    try {
        const auto document = toml::parse(all, file);
        return cluster_reader{file, flaws}.read(document);
    } catch (const toml::parse_error& wrong) {
        flaws.push_back({wrong.source().begin.line, std::string{wrong.description()}});
    } catch (const std::exception& wrong) {
        flaws.push_back({0, std::string{"not TOML: "} + wrong.what()});
    }
    return cluster_description{};
}

}  // namespace bzmq::cli
