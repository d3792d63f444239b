#include "bzmq/certificate.hpp"

#include "commands.hpp"
#include "option_checks.hpp"
#include "output.hpp"

#include <memory>

namespace bzmq::cli {
namespace {

struct options {
    std::string path;
    std::vector<std::string> metadata;
    bool force = false;
};

exit_code run(const options& how, const context& ctx) {
    auto keys = generate_certificate();
    if (!keys) {
        return report(keys.error());
    }
    for (const auto& entry : how.metadata) {
        const auto equals = entry.find('=');
        if (equals == std::string::npos) {
            return report(exit_code::usage, "--meta " + entry + ": expected NAME=VALUE");
        }
        keys->metadata[entry.substr(0, equals)] = entry.substr(equals + 1);
    }
    if (const auto done = write_certificate(how.path, *keys, how.force); !done) {
        return report(done.error());
    }
    line_output out;
    if (ctx.common.json) {
        std::string line = "{\"public_key\":";
        append_json_string(line, keys->public_key);
        line += ",\"public_file\":";
        append_json_string(line, how.path + ".key");
        line += ",\"secret_file\":";
        append_json_string(line, how.path + ".key_secret");
        out.line(line + '}');
    } else {
        out.line(keys->public_key);
    }
    return exit_code::ok;
}

}  // namespace

void add_keygen(CLI::App& app, context& ctx) {
    auto how = std::make_shared<options>();
    auto* command = app.add_subcommand(
        "keygen", "Make a key pair: PATH.key (public) and PATH.key_secret (mode 0600)");
    command->add_option("PATH", how->path, "Both files' name without the ending")
        ->required()
        ->type_name("")
        ->check(not_empty());
    command->add_option("--meta", how->metadata, "Note NAME=VALUE in the files; repeat for more")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    command->add_flag("--force", how->force, "Overwrite files that exist");
    command->add_flag("--json", ctx.common.json, "Print one JSON object");
    command->callback([how, &ctx] { ctx.run = [how, &ctx] { return run(*how, ctx); }; });
}

}  // namespace bzmq::cli
