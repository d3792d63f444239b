#include "cluster/cluster_file.hpp"

#include "bzmq/configuration.hpp"
#include "bzmq/network_info.hpp"

#include "cluster/cluster_plan.hpp"
#include "context.hpp"
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <tuple>
#include <utility>

namespace bzmq::cli {
namespace {

unsigned line_of(const toml::node& node) { return node.source().begin.line; }

place place_of(const toml::table& in) {
    place out{line_of(in), {}};
    for (const auto& [key, node] : in) {
        out.keys.emplace(std::string{key.str()}, key.source().begin.line);
    }
    return out;
}

/// The first one that is there twice.
const std::string* repeated(const std::vector<std::string>& names) {
    for (auto at = names.begin(); at != names.end(); ++at) {
        if (std::find(names.begin(), at, *at) != at) {
            return &*at;
        }
    }
    return nullptr;
}

bool has(const std::vector<std::string>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

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
    std::optional<std::uint64_t> size(const toml::table& in, std::string_view key,
                                      std::uint64_t least);
    std::string one_of(const toml::table& in, std::string_view key,
                       std::initializer_list<std::string_view> known);
    setting_list settings(const toml::node* node, const std::string& where);
    void read_settings(const toml::node& node);
    std::string path(std::string_view relative) const {
        return (folder_ / relative).lexically_normal().string();
    }
    void read_supervision(const toml::node& node);
    void read_node(const toml::table& in);
    void read_logger(const toml::table& in, cluster_node& node);
    void read_store(const std::string& name, const toml::node& node);
    void read_stores(const toml::node& node);
    void check_nodes();
    void check_node(const cluster_node& node);
    void check_listen(const cluster_node& node);
    void check_peers(const cluster_node& node);
    void check_whole();
    void check_stores();
    void check_members(const cluster_store& store);
    void check_failover(const cluster_store& store);
    void check_shared_options(const cluster_node& node);
    static expected<void> check_options(const setting_list& settings);
    void check_settings(const cluster_node& node);
    void check_name(unsigned line, const std::string& what, const std::string& name);

    std::vector<cluster_flaw>& flaws_;
    cluster_description out_;
    std::filesystem::path folder_;
    std::set<unsigned> bad_settings_;  // Lines of those that are wrong by themselves.
    std::set<std::string> told_;       // Of several settings that do not go together.
    bool links_known_ = true;          // Who is meant by names and peers.
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

std::optional<std::uint64_t> cluster_reader::size(const toml::table& in, std::string_view key,
                                                  std::uint64_t least) {
    const auto* node = in.get(key);
    if (node == nullptr) {
        return std::nullopt;
    }
    const auto found = node->value_exact<std::string>();
    const auto parsed = found ? parse_size(*found) : std::nullopt;
    if (!parsed || *parsed < least) {
        flaw(line_of(*node), fmt::format("{0}: expected {1}a size, {0} = \"100M\"", key,
                                         least > 1 ? fmt::format("{} bytes or more as ", least)
                                                   : std::string{}));
        return std::nullopt;
    }
    return parsed;
}

std::string cluster_reader::one_of(const toml::table& in, std::string_view key,
                                   std::initializer_list<std::string_view> known) {
    auto value = text(in, key, {});
    if (const auto* node = in.get(key); node != nullptr && node->is_string()
                                        && std::find(known.begin(), known.end(), value)
                                               == known.end()) {
        flaw(line_of(*node), fmt::format("{}: expected {}", key, fmt::join(known, " or ")));
    }
    return value;
}

/// Options pass on as they stand; the endpoint's own reader judges them (`check_options`).
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
        out.push_back({name, form.str(), key.source().begin.line});
        if (const auto good = check_options({out.back()}); !good) {
            flaw(out.back().line, where + ": " + good.error().message());
            bad_settings_.insert(out.back().line);
        }
    }
    return out;
}

void cluster_reader::read_supervision(const toml::node& node) {
    const auto* in = node.as_table();
    if (in == nullptr) {
        flaw(line_of(node), "supervise: expected a table, [supervise]");
        return;
    }
    only(*in, "supervise", {"restart_min", "restart_max", "restarts", "window", "stop_timeout",
                           "log_size"});
    auto& to = out_.supervise;
    duration(*in, "restart_min", to.restart_min);
    duration(*in, "restart_max", to.restart_max);
    duration(*in, "window", to.window);
    duration(*in, "stop_timeout", to.stop_timeout);
    to.log_bytes = size(*in, "log_size", 4096).value_or(to.log_bytes);
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
    node.at = place_of(in);
    node.name = text(in, "name", {});
    check_name(node.at.of("name"), "name", node.name);
    if (node.name == operator_name || node.name == supervisor_name) {
        flaw(node.at.of("name"), fmt::format("name: {} is taken: its files in the state's folder "
                                             "are the cluster's own; choose another",
                                             node.name));
    }
    const auto where = "node " + node.name;
    only(in, where,
         {"name", "role", "listen", "peers", "command", "topics", "logs", "format", "json_time",
          "rotate_size", "rotate_every", "gzip", "settings"});
    const auto role = text(in, "role", {});
    const auto found = std::find_if(all_roles.begin(), all_roles.end(),
                                    [&](cluster_role one) { return to_string(one) == role; });
    if (found == all_roles.end()) {
        flaw(node.at.of("role"),
             where + ": role: expected worker, manager, proxy, logger or agent");
    } else {
        node.role = *found;
    }
    node.listen = text(in, "listen", {});
    if (in.contains("peers")) {
        node.peers = texts(in, "peers");
    }
    node.command = texts(in, "command");
    if (const auto* list = in["command"].as_array();
        list != nullptr && (list->empty() || (!node.command.empty() && node.command[0].empty()))) {
        flaw(node.at.of("command"), where + ": command: expected a program and its arguments");
    }
    node.topics = texts(in, "topics");
    read_logger(in, node);
    node.settings = settings(in.get("settings"), where + ": settings");
    out_.nodes.push_back(std::move(node));
}

void cluster_reader::read_logger(const toml::table& in, cluster_node& node) {
    const bool is_logger = node.role == cluster_role::logger && node.command.empty();
    for (const auto* key :
         {"topics", "logs", "format", "json_time", "rotate_size", "rotate_every", "gzip"}) {
        if (in.contains(key) && !is_logger) {
            flaw(node.at.of(key), fmt::format("node {}: {} is for loggers without a command only",
                                              node.name, key));
        }
    }
    node.logs = path(text(in, "logs", "logs"));
    const auto pass = [&](const char* option, const std::string& value) {
        if (!value.empty()) {
            node.log_options.insert(node.log_options.end(), {option, value});
        }
    };
    pass("--log-format", one_of(in, "format", {"tsv", "json"}));
    pass("--json-time", one_of(in, "json_time", {"epoch", "iso8601"}));
    if (size(in, "rotate_size", 1)) {
        pass("--rotate-size", text(in, "rotate_size", {}));
    }
    timespan every{0};
    duration(in, "rotate_every", every);
    if (every.count() > 0) {
        pass("--rotate-every", text(in, "rotate_every", {}));
    }
    if (const auto* gzip = in.get("gzip")) {
        const auto on = gzip->value_exact<bool>();
        if (!on) {
            flaw(line_of(*gzip), "gzip: expected true or false");
        } else if (*on) {
            node.log_options.emplace_back("--gzip");
        }
    }
}

// -- Stores ---------------------------------------------------------------------------------------

void cluster_reader::read_stores(const toml::node& node) {
    const auto* in = node.as_table();
    if (in == nullptr) {
        flaw(line_of(node), "stores: expected a table for each, [stores.NAME]");
        return;
    }
    for (const auto& [key, store] : *in) {
        read_store(std::string{key.str()}, store);
    }
}

void cluster_reader::read_store(const std::string& name, const toml::node& node) {
    const auto* in = node.as_table();
    if (in == nullptr) {
        flaw(line_of(node), "stores: expected a table for each, [stores.NAME]");
        return;
    }
    const auto where = "store " + name;
    only(*in, where, {"master", "folder", "clones", "standbys", "sync_replicas", "electors",
                      "failover_timeout", "durability"});
    cluster_store store;
    store.name = name;
    store.at = place_of(*in);
    check_name(store.at.line, where, name);
    store.master = text(*in, "master", {});
    store.clones = texts(*in, "clones");
    store.standbys = texts(*in, "standbys");
    store.electors = texts(*in, "electors");
    store.durability = one_of(*in, "durability", {"sync", "group", "async"});
    if (in->contains("folder")) {
        const auto folder = text(*in, "folder", {});
        if (folder.empty()) {
            flaw(store.at.of("folder"), where + ": folder: expected a name, folder = \"...\"");
        } else {
            store.folder = path(folder);
            if (store.folder.ends_with('/')) {
                store.folder.pop_back();  // The same folder.
            }
        }
    }
    if (const auto* count = in->get("sync_replicas")) {
        const auto value = count->value_exact<std::int64_t>().value_or(-1);
        if (value < 0 || value > static_cast<std::int64_t>(store.standbys.size())) {
            flaw(line_of(*count),
                 fmt::format("{}: sync_replicas: expected a whole number from 0 to the number of "
                             "standbys, {}",
                             where, store.standbys.size()));
        } else {
            store.sync_replicas = static_cast<unsigned>(value);
        }
    }
    timespan timeout{0};
    duration(*in, "failover_timeout", timeout);
    if (timeout.count() > 0) {
        store.failover_timeout = text(*in, "failover_timeout", {});
    }
    out_.stores.push_back(std::move(store));
}

/// Who has the store, and that each has it once.
void cluster_reader::check_members(const cluster_store& store) {
    const auto where = "store " + store.name;
    const auto known = [&](const std::string& who, const char* as) {
        const auto* found = out_.find(who);
        if (found == nullptr) {
            flaw(store.at.of(as),
                 fmt::format("{}: {}: no node is called \"{}\"", where, as, who));
        } else if (!found->command.empty() || found->role == cluster_role::logger) {
            flaw(store.at.of(as), fmt::format("{}: {}: {} runs no bzmq-cli node; choose another",
                                              where, as, who));
        }
    };
    if (store.master.empty()) {
        flaw(store.at.of("master"), where + ": master: expected the name of a node");
    } else {
        known(store.master, "master");
    }
    for (const auto& [names, as] : {std::pair{&store.clones, "clones"},
                                    std::pair{&store.standbys, "standbys"}}) {
        for (const auto& name : *names) {
            known(name, as);
        }
        if (const auto* twice = repeated(*names)) {
            flaw(store.at.of(as),
                 fmt::format("{}: {}: {} is there twice; leave one out", where, as, *twice));
        }
        if (has(*names, store.master)) {
            flaw(store.at.of(as), fmt::format("{}: {}: {} is its master already; leave it out",
                                              where, as, store.master));
        }
    }
    for (const auto& name : store.standbys) {
        if (has(store.clones, name)) {
            flaw(store.at.of("standbys"),
                 fmt::format("{}: standbys: {} is a clone already; a standby is one, too", where,
                             name));
        }
    }
}

void cluster_reader::check_failover(const cluster_store& store) {
    const auto where = "store " + store.name;
    if (store.folder.empty()) {
        for (const auto* key :
             {"standbys", "sync_replicas", "electors", "failover_timeout", "durability"}) {
            if (store.at.keys.contains(key)) {
                flaw(store.at.of(key),
                     fmt::format("{}: {} needs a store on disk; give it a folder", where, key));
            }
        }
        return;
    }
    if (store.electors.empty()) {
        if (!store.failover_timeout.empty()) {
            flaw(store.at.of("failover_timeout"), where + ": failover_timeout needs electors");
        }
        return;
    }
    const auto line = store.at.of("electors");
    if (const auto* twice = repeated(store.electors)) {
        flaw(line, fmt::format("{}: electors: {} is there twice; leave one out", where, *twice));
    }
    for (const auto& name : store.electors) {
        if (name != store.master && !has(store.standbys, name)) {
            flaw(line, fmt::format("{}: electors: {} is neither its master nor a standby", where,
                                   name));
        }
    }
    if (!has(store.electors, store.master)) {
        flaw(line, fmt::format("{}: electors: its master, {}, must be among them", where,
                               store.master));
    }
    for (const auto& name : store.standbys) {
        if (!has(store.electors, name)) {
            flaw(line, fmt::format("{}: electors: {} is a standby and must be among them", where,
                                   name));
        }
    }
    // So that every majority has every write that counts; docs/stores.md.
    const auto least = store.electors.size() - (store.electors.size() / 2 + 1);
    if (store.sync_replicas < least) {
        flaw(store.at.of("sync_replicas"),
             fmt::format("{}: sync_replicas: {} electors need at least {}", where,
                         store.electors.size(), least));
    }
}

/// bzmq-cli node has these options once, for all its stores on disk.
void cluster_reader::check_shared_options(const cluster_node& node) {
    const cluster_store* first = nullptr;
    for (const auto& store : out_.stores) {
        if (!store.is_on_disk_of(node.name)) {
            continue;
        }
        if (first == nullptr) {
            first = &store;
            continue;
        }
        const std::tuple own{store.sync_replicas, store.electors, store.failover_timeout,
                             store.durability};
        if (own
            != std::tuple{first->sync_replicas, first->electors, first->failover_timeout,
                          first->durability}) {
            flaw(store.at.line,
                 fmt::format("store {}: {} has store {} as well: of one node's stores on disk "
                             "sync_replicas, electors, failover_timeout and durability must be "
                             "the same",
                             store.name, node.name, first->name));
        }
    }
}

void cluster_reader::check_stores() {
    std::map<std::string, std::string> folders;
    for (const auto& store : out_.stores) {
        check_members(store);
        check_failover(store);
        if (store.folder.empty()) {
            continue;
        }
        auto members = store.standbys;
        members.push_back(store.master);
        for (const auto& name : members) {
            const auto [at, fresh] = folders.emplace(store.folder_of(name), store.name);
            if (!fresh && at->second != store.name) {
                flaw(store.at.of("folder"), fmt::format("store {}: folder: store {} is in {} "
                                                        "already; choose another",
                                                        store.name, at->second, at->first));
            }
        }
    }
    for (const auto& node : out_.nodes) {
        check_shared_options(node);
    }
}

// -- Nodes ----------------------------------------------------------------------------------------

/// Asks the library's own reader about options.
expected<void> cluster_reader::check_options(const setting_list& settings) {
    std::vector<std::string> arguments{"bzmq-cli"};
    for (const auto& one : settings) {
        auto plain = one.value;
        if (plain.size() >= 2 && (plain.front() == '"' || plain.front() == '\'')) {
            plain = plain.substr(1, plain.size() - 2);
        }
        arguments.push_back("--bzmq." + one.name + '=' + plain);
    }
    std::vector<const char*> raw;
    for (const auto& argument : arguments) {
        raw.push_back(argument.c_str());
    }
    configuration config;
    const auto good = config.init(static_cast<int>(raw.size()), raw.data());
    return good ? expected<void>{} : tl::unexpected{good.error()};
}

/// Options that are right by themselves, but do not go together.
void cluster_reader::check_settings(const cluster_node& node) {
    const bool known = std::any_of(
        node.settings.begin(), node.settings.end(),
        [&](const setting& one) { return bad_settings_.contains(one.line); });
    if (known || node.settings.empty()) {
        return;
    }
    const auto good = check_options(node.settings);
    if (!good && told_.insert(good.error().message()).second) {
        flaw(node.at.line, "node " + node.name + ": settings: " + good.error().message());
    }
}

void cluster_reader::check_listen(const cluster_node& node) {
    if (node.listen.empty()) {
        return;
    }
    const auto where = "node " + node.name + ": listen: ";
    const auto line = node.at.of("listen");
    const auto url = normalise_url(node.listen);
    constexpr std::size_t socket_path_max = 107;
    constexpr std::string_view local = "ipc://";
    if (node.listen.starts_with(local) && node.listen.size() - local.size() > socket_path_max) {
        flaw(line, fmt::format("{}the path is longer than {} bytes", where, socket_path_max));
    } else if (!url) {
        flaw(line, where + "expected tcp://HOST:PORT or ipc:///PATH");
    } else if (url->ends_with(":0")) {
        flaw(line, where + "the others must know the port; choose one");
    } else if (url->starts_with("tcp://*:")) {
        flaw(line, where + "the others connect to this address; name one");
    } else if (!out_.encrypt && !is_loopback_url(*url)) {
        flaw(line, where + "other machines reach it, and encrypt = false lets everybody in; "
                           "encrypt, or listen at 127.0.0.1");
    }
}

void cluster_reader::check_peers(const cluster_node& node) {
    const auto where = "node " + node.name + ": peers: ";
    const auto line = node.at.of("peers");
    const auto peers = node.peers.value_or(std::vector<std::string>{});
    const auto flaws_before = flaws_.size();
    for (const auto& peer : peers) {
        const auto* found = out_.find(peer);
        if (found == nullptr) {
            flaw(line, fmt::format("{}no node is called \"{}\"", where, peer));
        } else if (found->name == node.name) {
            flaw(line, where + "it cannot peer with itself; leave it out");
        } else if (found->listen.empty()) {
            flaw(line, fmt::format("{}{} does not listen; give it an address", where, peer));
        }
    }
    if (const auto* twice = repeated(peers)) {
        flaw(line, fmt::format("{}{} is there twice; leave one out", where, *twice));
    }
    if (node.listen.empty() && peers_of(out_, node).empty()) {
        flaw(line, "node " + node.name
                       + ": it connects to nobody and nobody to it; give it an address, listen, or "
                         "peers");
    }
    links_known_ = links_known_ && flaws_.size() == flaws_before;
}

/// Each node for itself may be right, and still there is no way from one to another.
void cluster_reader::check_whole() {
    std::map<std::string, std::set<std::string>> links;
    for (const auto& node : out_.nodes) {
        for (const auto& peer : peers_of(out_, node)) {
            links[node.name].insert(peer);
            links[peer].insert(node.name);
        }
    }
    std::set<std::string> seen;
    std::vector<std::vector<std::string>> parts;
    for (const auto& node : out_.nodes) {
        if (!seen.insert(node.name).second) {
            continue;
        }
        auto& part = parts.emplace_back(1, node.name);
        for (std::size_t i = 0; i < part.size(); ++i) {
            for (const auto& next : links[part[i]]) {
                if (seen.insert(next).second) {
                    part.push_back(next);
                }
            }
        }
    }
    const auto most = std::max_element(parts.begin(), parts.end(), [](const auto& a, const auto& b) {
        return a.size() < b.size();
    });
    for (auto part = parts.begin(); part != parts.end(); ++part) {
        if (part != most) {
            const auto& first = out_.find(part->front())->at;
            flaw(first.of("peers"),
                 fmt::format("node {}: peers: no way leads from {} to {}; let one of them connect to "
                             "the others",
                             part->front(), fmt::join(*part, ", "), most->front()));
        }
    }
}

void cluster_reader::check_node(const cluster_node& node) {
    check_listen(node);
    check_peers(node);
    check_settings(node);
}

void cluster_reader::check_nodes() {
    std::map<std::string, unsigned> names;
    std::map<std::string, std::string> urls;
    std::map<std::string, std::string> folders;
    for (const auto& node : out_.nodes) {
        const auto where = "node " + node.name;
        if (const auto [at, fresh] = names.emplace(node.name, node.at.line); !fresh) {
            flaw(node.at.of("name"), fmt::format("{}: line {} has this name already; choose another",
                                                 where, at->second));
            links_known_ = false;
        }
        const auto url = normalise_url(node.listen);
        if (url && !node.listen.empty()) {
            if (const auto [at, fresh] = urls.emplace(*url, node.name); !fresh) {
                flaw(node.at.of("listen"),
                     fmt::format("{}: listen: {} listens there already", where, at->second));
            }
        }
        if (node.role == cluster_role::logger && node.command.empty()) {
            if (const auto [at, fresh] = folders.emplace(node.logs, node.name); !fresh) {
                flaw(node.at.of("logs"), fmt::format("{}: logs: {} writes to {} already", where,
                                                     at->second, node.logs));
            }
        }
        check_node(node);
    }
    if (links_known_) {
        check_whole();
    }
    if (out_.nodes.empty()) {
        flaw(0, "no nodes; add a table [[node]] with name, role and listen for each");
    }
}

/// Options for all, [settings], and for a role, [settings.worker]; a node's own go before.
void cluster_reader::read_settings(const toml::node& node) {
    const auto* in = node.as_table();
    if (in == nullptr) {
        flaw(line_of(node), "settings: expected a table of options, [settings]");
        return;
    }
    auto general = *in;
    std::map<std::string_view, setting_list> by_role;
    for (const auto role : all_roles) {
        const auto name = to_string(role);
        by_role[name] = settings(in->get(name), fmt::format("settings.{}", name));
        general.erase(name);
    }
    const auto common = settings(&general, "settings");
    for (auto& one : out_.nodes) {
        for (const auto* more : {&std::as_const(by_role[to_string(one.role)]), &common}) {
            for (const auto& each : *more) {
                const auto same = [&](const setting& own) { return own.name == each.name; };
                if (std::none_of(one.settings.begin(), one.settings.end(), same)) {
                    one.settings.push_back(each);
                }
            }
        }
    }
}

cluster_description cluster_reader::read(const toml::table& document) {
    only(document, "cluster",
         {"name", "state", "keys", "encrypt", "supervise", "settings", "node", "stores"});
    const auto stem = std::filesystem::path{out_.file}.stem().string();
    out_.name = text(document, "name", stem);
    check_name(place_of(document).of("name"), "name", out_.name);
    out_.state = path(text(document, "state", stem + ".state"));
    if (document.contains("state") && !document["state"].is_string()) {
        out_.state.clear();  // It is another one, which nobody can tell.
    }
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
    if (const auto* settings = document.get("settings")) {
        read_settings(*settings);
    }
    check_nodes();
    if (const auto* stores = document.get("stores")) {
        read_stores(*stores);
        check_stores();
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

bool cluster_store::is_on_disk_of(std::string_view node) const {
    return !folder.empty() && (node == master || has(standbys, node));
}

const cluster_node* cluster_description::find(std::string_view wanted) const noexcept {
    const auto found = std::find_if(nodes.begin(), nodes.end(),
                                    [&](const auto& node) { return node.name == wanted; });
    return found == nodes.end() ? nullptr : &*found;
}

expected<cluster_description> read_cluster(const std::string& file,
                                           std::vector<cluster_flaw>& flaws) {
    std::error_code ignored;
    if (std::filesystem::is_directory(file, ignored)) {
        return fail(ec::cannot_open_file, file + ": " + std::strerror(EISDIR));
    }
    errno = 0;
    std::ifstream in{file};
    const std::string all{std::istreambuf_iterator<char>{in}, {}};
    if (!in.is_open() || in.bad()) {
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
