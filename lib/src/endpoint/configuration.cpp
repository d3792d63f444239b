#include "bzmq/configuration.hpp"

#include "endpoint/configuration_sources.hpp"
#include "endpoint/configuration_table.hpp"
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace bzmq {
namespace {

/// The checks of all options, for values that no parser has seen.
expected<void> check_all(const endpoint_options& options, const config::places& where = {}) {
    for (const auto& known : config::options()) {
        if (const auto done = config::check(options, known); !done) {
            return fail(ec::invalid_configuration, std::string{known.key} + ": " + done.error());
        }
    }
    const auto problem = config::check_together(options);
    if (!problem) {
        return {};
    }
    auto place = where.find(problem->key);
    if (place == where.end()) {
        place = where.find(problem->other);
    }
    return fail(ec::invalid_configuration,
                (place != where.end() ? place->second + ": " : "") + problem->text);
}

struct loaded_options {
    endpoint_options options;
    config::places where;
};

/// Everything outside of code, over the defaults.
expected<loaded_options> load(const std::string& config_file,
                              const config::command_line& arguments) {
    loaded_options out;
    const auto* named = std::getenv(std::string{config::config_file_variable}.c_str());
    const auto file = !config_file.empty()             ? config_file
                      : !arguments.config_file.empty() ? arguments.config_file
                      : named != nullptr               ? std::string{named}
                                                       : std::string{};
    expected<void> done;
    if (!file.empty()) {
        done = config::apply_file(out.options, file, &out.where);
    }
    if (done) {
        done = config::apply_environment(out.options, environ, &out.where);
    }
    if (done) {
        done = config::apply_command_line(out.options, arguments, &out.where);
    }
    return done.map([&] { return std::move(out); });
}

}  // namespace

expected<void> configuration::init(int argc, const char* const* argv) {
    error_ = {};
    remainder_.clear();
    auto arguments = config::parse_command_line(argc, argv);
    auto loaded = arguments.and_then(
        [this](const config::command_line& parsed) { return load(config_file_, parsed); });
    auto merged = loaded;
    if (merged) {
        for (const auto key : config::copy_where_changed(merged->options, options_, loaded_)) {
            merged->where.erase(key);
        }
        if (auto done = check_all(merged->options, merged->where); !done) {
            merged = tl::unexpected{std::move(done.error())};
        }
    }
    if (arguments) {
        remainder_ = std::move(arguments->remainder);
        if (arguments->help) {
            std::fputs(help_text().c_str(), stdout);
            helptext_printed_ = true;
        }
    }
    if (!merged) {
        error_ = merged.error();
        return tl::unexpected{error_};
    }
    options_ = std::move(merged->options);
    loaded_ = std::move(loaded->options);
    return {};
}

expected<void> configuration::validate() const {
    return error_ ? expected<void>{tl::unexpected{error_}} : check_all(options_);
}

std::string configuration::help_text() {
    std::string out =
        "bzmq options. On the command line --bzmq.OPTION=VALUE, in the environment BZMQ_OPTION,\n"
        "in a TOML file OPTION = VALUE.\n"
        "\n"
        "  --config-file=FILE\n"
        "      the TOML file, also BZMQ_CONFIG_FILE\n"
        "  --help-bzmq\n"
        "      print this text\n";
    for (const auto& known : config::options()) {
        const auto range = config::range_text(known);
        const auto initial = config::default_text(known);
        out += "  --bzmq." + std::string{known.key} + "=VALUE\n      "
               + std::string{known.description} + "\n      " + config::type_name(known)
               + (range.empty() ? "" : ", " + range) + "; default "
               + (initial.empty() ? "empty" : initial) + '\n';
    }
    return out;
}

}  // namespace bzmq
