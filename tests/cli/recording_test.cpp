// Recordings: what goes in comes out, and nothing that happens to a file is worse than an error.
#include "recording/recording.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

namespace bzmq::cli {
namespace {

using namespace std::chrono_literals;

class recordings : public ::testing::Test {
  protected:
    recordings() {
        std::string pattern = (std::filesystem::temp_directory_path() / "recordings.XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~recordings() override { std::filesystem::remove_all(folder_); }

    [[nodiscard]] std::string file() const { return (folder_ / "file").string(); }
    [[nodiscard]] std::string bytes() const {
        std::ifstream in{file(), std::ios::binary};
        return {std::istreambuf_iterator<char>{in}, {}};
    }
    void write(const std::string& bytes) const {
        std::ofstream{file(), std::ios::binary} << bytes;
    }

    /// Number `n` of an endless line of different messages.
    struct made {
        std::string topic;
        std::string payload;
        timestamp at;
        batch_ptr batch;

        [[nodiscard]] message what() const {
            return {batch, topic, std::as_bytes(std::span{payload})};
        }
    };
    static made make(unsigned n) {
        auto* batch = new message_batch;
        made out{"/t/" + std::to_string(n % 7), std::string(n * 37 % 500, static_cast<char>(n)),
                 timestamp{timespan{1'700'000'000'000'000'000} + n * 1ms - (n % 3) * 5ms},
                 batch_ptr{batch}};
        batch->count = 1;
        endpoint_id::bytes_type id{};
        id[0] = static_cast<std::uint8_t>(1 + n % 5);
        batch->origin = endpoint_id{id};
        batch->sent_at = out.at - 3us;
        batch->hops = static_cast<std::uint8_t>(n % 256);
        batch->mode = n % 2 == 0 ? delivery_mode::reliable : delivery_mode::best_effort;
        return out;
    }
    static void expect_equal(const message& is, timestamp at, const made& should_be) {
        const auto was = should_be.what();
        EXPECT_EQ(at, should_be.at);
        EXPECT_EQ(is.topic(), should_be.topic);
        EXPECT_TRUE(std::ranges::equal(is.payload(), std::as_bytes(std::span{should_be.payload})));
        EXPECT_EQ(is.origin(), was.origin());
        EXPECT_EQ(is.hops(), was.hops());
        EXPECT_EQ(is.sent_at(), was.sent_at());
        EXPECT_EQ(is.mode(), was.mode());
    }

    /// Messages [first, end), flushed after every `per_block`.
    void record(recording_writer::mode how, unsigned first, unsigned end, unsigned per_block) const {
        auto out = recording_writer::open(file(), how);
        ASSERT_TRUE(out) << to_string(out.error());
        for (unsigned n = first; n < end; ++n) {
            const auto one = make(n);
            ASSERT_TRUE(out->add(one.what(), one.at));
            if ((n + 1) % per_block == 0) {
                ASSERT_TRUE(out->flush());
            }
        }
        ASSERT_TRUE(out->flush());
    }
    struct seen {
        unsigned whole = 0;  ///< messages as they were, from number 0 on
        bool failed = false;
        std::uint64_t cut_off = 0;
    };
    /// Reads from the first message on until the end or the first failure.
    [[nodiscard]] seen read() const {
        seen out;
        auto in = recording_reader::open(file());
        if (!in) {
            out.failed = true;
            return out;
        }
        message what;
        timestamp at;
        while (true) {
            const auto more = in->next(what, at);
            if (!more || !*more) {
                out.failed = !more;
                out.cut_off = in->cut_off();
                return out;
            }
            expect_equal(what, at, make(out.whole++));
        }
    }

    std::filesystem::path folder_;
};

TEST_F(recordings, give_back_what_went_in) {
    record(recording_writer::mode::fresh, 0, 20'000, 700);
    const auto all = read();
    EXPECT_EQ(all.whole, 20'000U);
    EXPECT_FALSE(all.failed);
}

TEST_F(recordings, are_not_overwritten_unasked) {
    record(recording_writer::mode::fresh, 0, 10, 10);
    const auto again = recording_writer::open(file(), recording_writer::mode::fresh);
    ASSERT_FALSE(again);
    EXPECT_NE(again.error().message().find("--append"), std::string::npos);
    EXPECT_EQ(read().whole, 10U);
    record(recording_writer::mode::replace, 0, 3, 10);
    EXPECT_EQ(read().whole, 3U);
}

TEST_F(recordings, have_one_writer) {
    const auto first = recording_writer::open(file(), recording_writer::mode::fresh);
    ASSERT_TRUE(first);
    for (const auto how : {recording_writer::mode::append, recording_writer::mode::replace}) {
        EXPECT_FALSE(recording_writer::open(file(), how));
    }
}

TEST_F(recordings, that_were_cut_off_anywhere_keep_their_whole_blocks_and_go_on) {
    record(recording_writer::mode::fresh, 0, 30, 10);
    const auto whole = bytes();
    for (std::size_t size = 8; size < whole.size(); ++size) {
        SCOPED_TRACE(size);
        write(whole.substr(0, size));
        const auto left = read();
        EXPECT_FALSE(left.failed);
        EXPECT_EQ(left.whole % 10, 0U);
        record(recording_writer::mode::append, left.whole, 40, 10);
        EXPECT_EQ(read().whole, 40U);
    }
}

TEST_F(recordings, whose_bytes_are_flipped_say_so_or_give_whole_messages_only) {
    record(recording_writer::mode::fresh, 0, 30, 10);
    const auto whole = bytes();
    for (std::size_t at = 0; at < whole.size(); ++at) {
        for (const auto bit : {1, 128}) {
            SCOPED_TRACE(at);
            auto flipped = whole;
            flipped[at] = static_cast<char>(flipped[at] ^ bit);
            write(flipped);
            const auto left = read();
            // Only a length of the last block that is too large looks like a file that was cut off.
            EXPECT_TRUE(left.failed || left.cut_off > 0);
            EXPECT_LT(left.whole, 30U);
        }
    }
}

TEST_F(recordings, are_read_behind_a_damaged_block) {
    record(recording_writer::mode::fresh, 0, 30, 10);
    auto some = bytes();
    some[some.size() / 2] = static_cast<char>(some[some.size() / 2] ^ 1);
    write(some);
    auto in = recording_reader::open(file());
    ASSERT_TRUE(in);
    message what;
    timestamp at;
    unsigned whole = 0;
    unsigned failures = 0;
    while (true) {
        const auto more = in->next(what, at);
        if (!more) {
            ++failures;
            continue;
        }
        if (!*more) {
            break;
        }
        expect_equal(what, at, make(whole < 10 ? whole : whole + 10));
        ++whole;
    }
    EXPECT_EQ(failures, 1U);
    EXPECT_EQ(whole, 20U);
    EXPECT_FALSE(recording_writer::open(file(), recording_writer::mode::append));
}

TEST_F(recordings, of_another_kind_are_refused_and_left_alone) {
    for (const auto* text : {"", "BZ", "something else", "BZMQREC\x02 from tomorrow"}) {
        write(text);
        EXPECT_FALSE(recording_reader::open(file()));
        if (*text != '\0') {
            EXPECT_FALSE(recording_writer::open(file(), recording_writer::mode::append));
        }
        EXPECT_EQ(bytes(), text);
    }
}

TEST_F(recordings, end_with_a_whole_block_on_a_full_disk) {
    record(recording_writer::mode::fresh, 0, 10, 10);
    const auto limit = bytes().size() + 100;
    std::signal(SIGXFSZ, SIG_IGN);
    ::rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const ::rlimit less{limit, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &less);
    {
        auto out = recording_writer::open(file(), recording_writer::mode::append);
        ASSERT_TRUE(out);
        for (unsigned n = 10; n < 100; ++n) {
            const auto one = make(n);
            ASSERT_TRUE(out->add(one.what(), one.at));
        }
        EXPECT_FALSE(out->flush());
    }
    ::setrlimit(RLIMIT_FSIZE, &before);
    const auto left = read();
    EXPECT_EQ(left.whole, 10U);
    EXPECT_EQ(left.cut_off, 0U);
}

}  // namespace
}  // namespace bzmq::cli
