#include "endpoint/journal.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "bzmq/endpoint.hpp"

namespace bzmq {
namespace {

spdlog::level::level_enum to_spdlog(log_level level) {
    switch (level) {
        case log_level::off:
            return spdlog::level::off;
        case log_level::error:
            return spdlog::level::err;
        case log_level::warning:
            return spdlog::level::warn;
        case log_level::info:
            return spdlog::level::info;
        case log_level::debug:
            return spdlog::level::debug;
    }
    return spdlog::level::off;
}

}  // namespace

journal::journal(const endpoint_options& options, const std::string& id) {
    if (options.log_level == log_level::off) {
        return;
    }
    spdlog::sink_ptr sink;
    if (options.log_file.empty()) {
        sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
        try {
            sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.log_file);
        } catch (const spdlog::spdlog_ex& problem) {
            throw endpoint_error{error{ec::cannot_write_file, problem.what()}};
        }
    }
    const auto name = options.name.empty() ? id.substr(0, 8) : options.name;
    logger_ = std::make_shared<spdlog::logger>("bzmq " + name, std::move(sink));
    logger_->set_level(to_spdlog(options.log_level));
    logger_->flush_on(spdlog::level::info);
}

journal::~journal() = default;

void journal::note(const status_variant& what) {
    if (logger_) {
        logger_->log(is<error>(what) ? spdlog::level::warn : spdlog::level::info, "{}",
                     to_string(what));
    }
}
void journal::info(const std::string& text) {
    if (logger_) {
        logger_->info("{}", text);
    }
}
void journal::warning(const std::string& text) {
    if (logger_) {
        logger_->warn("{}", text);
    }
}

}  // namespace bzmq
