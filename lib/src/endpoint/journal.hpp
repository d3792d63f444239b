#pragma once

#include <memory>
#include <string>

#include "bzmq/configuration.hpp"
#include "bzmq/status.hpp"

namespace spdlog {
class logger;
}

namespace bzmq {

/// What one endpoint tells its operator, on standard error or in a file. No endpoint shares its
/// logger with another. Keys and payloads never get here.
class journal {
  public:
    /// Throws `endpoint_error` where the file cannot be opened.
    journal(const endpoint_options& options, const std::string& id);
    ~journal();

    void note(const status_variant& what);
    void info(const std::string& text);
    void warning(const std::string& text);

  private:
    std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace bzmq
