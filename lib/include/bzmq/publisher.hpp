#pragma once

#include "bzmq/data.hpp"
#include "bzmq/error.hpp"
#include "bzmq/export.hpp"
#include "bzmq/fwd.hpp"
#include "bzmq/message.hpp"

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace bzmq {

/// Publishes under one topic. As `endpoint::publish`, which tells the errors. Cheap to copy,
/// thread-safe; may outlive its endpoint (then every call fails with `ec::shutting_down`).
class BZMQ_EXPORT publisher {
  public:
    /// Publishes nothing: every call fails with `ec::shutting_down`.
    publisher() = default;

    [[nodiscard]] const std::string& topic() const noexcept { return topic_; }
    [[nodiscard]] delivery_mode mode() const noexcept { return mode_; }

    ec publish(const data& value);
    /// Text goes out without a `data` being made for it.
    template <class text>
    requires std::convertible_to<const text&, std::string_view> ec publish(const text& value) {
        return publish_text(value);
    }
    /// Many at once, each a message of its own. Stops at the first failure.
    ec publish_batch(std::span<const data> values);
    /// A payload that is encoded already, such as `message::payload()`.
    ec publish_raw(std::span<const std::byte> payload);

  private:
    friend class endpoint;
    publisher(std::shared_ptr<endpoint_core> core, std::string topic, delivery_mode mode) noexcept
        : core_(std::move(core)), topic_(std::move(topic)), mode_(mode) {}
    ec publish_text(std::string_view value);

    std::shared_ptr<endpoint_core> core_;
    std::string topic_;
    delivery_mode mode_ = delivery_mode::best_effort;
};

}  // namespace bzmq
