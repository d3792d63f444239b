// The vectors of the chapter on stores in docs/protocol.md: what the document shows is what our
// encoders write and our decoders read. A change of the wire that forgets the document fails here.
#include <gtest/gtest.h>

#include "doc_vectors.hpp"
#include "replica/message_samples.hpp"

namespace bzmq::replica::testing {
namespace {

using bzmq::testing::hex;

class store_vectors : public ::testing::Test {
  protected:
    void check(const std::string& name, const std::vector<std::byte>& expected) {
        EXPECT_EQ(hex(known_[name]), hex(expected))
            << "docs/protocol.md, vector " << name << ", should read:\n[" << name << "]\n"
            << hex(expected) << "\n[end]";
    }
    std::map<std::string, std::vector<std::byte>> known_ = bzmq::testing::read_vectors();
};

TEST_F(store_vectors, messages) {
    for (const auto& [name, bytes] : sample_messages()) {
        check(name, bytes);
        EXPECT_EQ(encode_again(known_[name]), known_[name]) << name;
    }
}

TEST_F(store_vectors, entries_commands_and_hashes) {
    for (const auto& [name, bytes] : sample_parts()) {
        check(name, bytes);
    }
    EXPECT_TRUE(well_formed(known_["store-entry"]));
    const auto put = read_command(known_["store-put"]);
    ASSERT_TRUE(put);
    EXPECT_EQ(put->expiry, timespan{std::chrono::seconds{1}});
    EXPECT_TRUE(read_command(known_["store-batch"]));
}

TEST_F(store_vectors, the_document_shows_no_others) {
    const auto ours = std::erase_if(known_, [](const auto& each) {
        return each.first.starts_with("store-");
    });
    EXPECT_EQ(ours, sample_messages().size() + sample_parts().size());
}

}  // namespace
}  // namespace bzmq::replica::testing
