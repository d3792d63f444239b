#include "zeek_log_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "source_dir.hpp"
#include "zeek_values.hpp"
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

namespace bzmq::cli {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr std::int64_t ns_per_s = 1'000'000'000;

timestamp at(std::int64_t seconds, std::int64_t nanoseconds) {
    return timestamp{timespan{seconds * ns_per_s + nanoseconds}};
}

class zeek_log_reader_test : public testing::Test {
  protected:
    void SetUp() override {
        folder_ =
            std::filesystem::temp_directory_path() / ("bzmq-zeek-test-" + std::to_string(getpid()));
        std::filesystem::create_directories(folder_);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string write(const std::string& name, const std::string& bytes) {
        const auto path = folder_ / name;
        std::ofstream{path, std::ios::binary} << bytes;
        return path;
    }
    std::string write_gzip(const std::string& name, const std::string& bytes) {
        const auto path = (folder_ / name).string();
        auto* file = gzopen(path.c_str(), "wb");
        gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
        gzclose(file);
        return path;
    }

    struct result {
        std::vector<log_record> records;
        bzmq::error failure;
    };
    static result read(const std::string& file) {
        result out;
        auto reader = zeek_log_reader::open(file);
        if (!reader) {
            out.failure = reader.error();
            return out;
        }
        log_record record;
        for (;;) {
            const auto found = reader->next(record);
            if (!found) {
                out.failure = found.error();
                EXPECT_FALSE(reader->next(record).value()) << "nothing comes after an error";
                break;
            }
            if (!*found) {
                break;
            }
            out.records.push_back(record);
        }
        EXPECT_LE(reader->bytes_consumed(), reader->bytes_total());
        return out;
    }
    result read_text(const std::string& text) { return read(write("log", text)); }
    std::string failure_of(const std::string& text) {
        const auto failure = read_text(text).failure;
        EXPECT_EQ(failure.code(), ec::invalid_data) << text;
        return failure.message();
    }

    std::filesystem::path folder_;
};

constexpr std::size_t header_lines = 8;
std::string header(const std::string& fields, const std::string& types) {
    return "#separator "
           "\\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\ttest\n"
           "#open\t2024-04-12-19-29-12\n#fields\t"
           + fields + "\n#types\t" + types + '\n';
}

data value(const log_record& record, const std::string& name) {
    for (const auto& [field, found] : record.fields) {
        if (field == name) {
            return found;
        }
    }
    ADD_FAILURE() << "no field " << name;
    return {};
}

TEST_F(zeek_log_reader_test, each_type_of_a_tab_separated_log_is_its_own) {
    const auto read = read_text(header("ts\td\tn\ti\tr\tb\ta\ts\tp\tproto\te\tt\tset\tvec\tnone",
                                       "time\tinterval\tcount\tint\tdouble\tbool\taddr\tsubnet\tport\tenum\tenum\t"
                                       "string\tset[addr]\tvector[interval]\tcount")
                                + "1521911720.865716\t-0.000870\t18446744073709551615\t-3\t2.5e3\tT\t2001:db8::1\t"
                                  "10.0.0.0/8\t53\tudp\tSSL::Bad\ttext\t10.0.0.2,10.0.0.1\t1.000000,-,3\t-\n"
                                  "#close\t2024-04-12-19-34-07\n");
    ASSERT_EQ(read.records.size(), 1u) << to_string(read.failure);
    const auto& record = read.records.front();
    EXPECT_EQ(record.path, "test");
    EXPECT_EQ(record.fields.front().first, "ts");
    EXPECT_EQ(value(record, "ts"), data{at(1521911720, 865716000)});
    EXPECT_EQ(value(record, "d"), data{-870us});
    EXPECT_EQ(value(record, "n"), data{~std::uint64_t{0}});
    EXPECT_EQ(value(record, "i"), data{-3});
    EXPECT_EQ(value(record, "r"), data{2500.0});
    EXPECT_EQ(value(record, "b"), data{true});
    EXPECT_EQ(value(record, "a"), data{*address::parse("2001:db8::1")});
    EXPECT_EQ(value(record, "s"), data{*subnet::parse("10.0.0.0/8")});
    EXPECT_EQ(value(record, "p"), (data{port{53, port::protocol::udp}}));
    EXPECT_EQ(value(record, "e"), data{enum_value{"SSL::Bad"}});
    EXPECT_EQ(value(record, "t"), data{"text"});
    EXPECT_EQ(value(record, "set"),
              (data{set{*address::parse("10.0.0.1"), *address::parse("10.0.0.2")}}));
    EXPECT_EQ(value(record, "vec"), (data{vector{1s, data{}, 3s}}));
    EXPECT_EQ(value(record, "none"), data{});
}

TEST_F(zeek_log_reader_test, escapes_empty_and_unset_are_told_apart) {
    const auto read = read_text(header("a\tb\tc", "string\tset[string]\tvector[string]")
                                + "(empty)\t(empty)\t-\n"
                                  "\\x2d\t\\x28empty)\t(empty),-,\\x2d\n"
                                  "a\\x09b\\\\x41\\q\\x0\tx\\x2cy,z\t\n");
    ASSERT_EQ(read.records.size(), 3u) << to_string(read.failure);
    EXPECT_EQ(value(read.records[0], "a"), data{""});
    EXPECT_EQ(value(read.records[0], "b"), data{set{}});
    EXPECT_EQ(value(read.records[0], "c"), data{});
    EXPECT_EQ(value(read.records[1], "a"), data{"-"});
    EXPECT_EQ(value(read.records[1], "b"), data{set{"(empty)"}});
    EXPECT_EQ(value(read.records[1], "c"), (data{vector{"", data{}, "-"}}));
    EXPECT_EQ(value(read.records[2], "a"), data{"a\tb\\x41\\q\\x0"});
    EXPECT_EQ(value(read.records[2], "b"), (data{set{"x,y", "z"}}));
}

TEST_F(zeek_log_reader_test, the_header_sets_separators_and_marks_and_may_come_again) {
    const auto read = read_text(
        "#separator \\x7c\n#set_separator|;\n#empty_field|E\n#unset_field|U\n#path|one\n"
        "#fields|a|b\n#types|string|set[count]\nU|1;2\nE|E\n"
        + header("x", "count") + "7\n");
    ASSERT_EQ(read.records.size(), 3u) << to_string(read.failure);
    EXPECT_EQ(value(read.records[0], "a"), data{});
    EXPECT_EQ(value(read.records[0], "b"), (data{set{1u, 2u}}));
    EXPECT_EQ(value(read.records[1], "a"), data{""});
    EXPECT_EQ(read.records[2].path, "test");
    EXPECT_EQ(read.records[2].fields.size(), 1u);
}

TEST_F(zeek_log_reader_test, json_types_follow_from_names) {
    const auto read = read_text(
        R"({"_path":"notice","_write_ts":"2018-03-24T17:15:20.629574Z","ts":"2018-03-24T17:15:20.629574Z",)"
        R"("id.orig_h":"10.0.0.1","id.orig_p":39611,"proto":"tcp","note":"SSL::Bad","dst":"::1","p":443,)"
        R"("actions":["B","A"],"email_dest":[],"suppress_for":3600.0,"n":3,"m":-3,"r":0.5,"u":null,"ok":true,)"
        R"("src":"no address","start_time":1521911720.123456789,"rtt":8.7e-4,"TTLs":[1.0,2],"answers":["b","a"],)"
        R"("lease_time":3600,"nested":{"h_p":1,"deep":{"x":"y"}},"last":1})"
        "\n\n"
        R"({"ts":1521911720.865716})");
    ASSERT_EQ(read.records.size(), 2u) << to_string(read.failure);
    const auto& record = read.records.front();
    EXPECT_EQ(record.path, "notice");
    EXPECT_EQ(record.fields.front().first, "ts")
        << "names with an underscore in front are no fields";
    EXPECT_EQ(value(record, "ts"), data{at(1521911720, 629574000)});
    EXPECT_EQ(value(record, "id.orig_h"), data{*address::parse("10.0.0.1")});
    EXPECT_EQ(value(record, "id.orig_p"), (data{port{39611, port::protocol::tcp}}));
    EXPECT_EQ(value(record, "note"), data{enum_value{"SSL::Bad"}});
    EXPECT_EQ(value(record, "p"), (data{port{443, port::protocol::tcp}}));
    EXPECT_EQ(value(record, "actions"), (data{set{enum_value{"A"}, enum_value{"B"}}}));
    EXPECT_EQ(value(record, "email_dest"), data{set{}});
    EXPECT_EQ(value(record, "suppress_for"), data{1h});
    EXPECT_EQ(value(record, "n"), data{3u});
    EXPECT_EQ(value(record, "m"), data{-3});
    EXPECT_EQ(value(record, "r"), data{0.5});
    EXPECT_EQ(value(record, "u"), data{});
    EXPECT_EQ(value(record, "ok"), data{true});
    EXPECT_EQ(value(record, "src"), data{"no address"});
    EXPECT_EQ(value(record, "start_time"), data{at(1521911720, 123456789)})
        << "exact, not by way of a double";
    EXPECT_EQ(value(record, "rtt"), data{870us});
    EXPECT_EQ(value(record, "TTLs"), (data{vector{1s, 2s}}));
    EXPECT_EQ(value(record, "answers"), (data{vector{"b", "a"}}));
    EXPECT_EQ(value(record, "lease_time"), data{1h});
    EXPECT_EQ(value(record, "nested.h_p"), (data{port{1, port::protocol::tcp}}));
    EXPECT_EQ(value(record, "nested.deep.x"), data{"y"});
    EXPECT_EQ(value(record, "last"), data{1u});
    EXPECT_EQ(read.records[1].path, "log") << "from the file's name";
}

TEST_F(zeek_log_reader_test, a_json_log_without_paths_is_named_after_its_file) {
    const auto read =
        this->read(write("conn.00:00:00-01:00:00.json", "{\"a\":1}\n{\"_path\":\"x\"}\n{}\n"));
    ASSERT_EQ(read.records.size(), 3u);
    EXPECT_EQ(read.records[0].path, "conn");
    EXPECT_EQ(read.records[1].path, "x");
    EXPECT_EQ(read.records[2].path, "conn");
    EXPECT_TRUE(read.records[2].fields.empty());
}

TEST_F(zeek_log_reader_test, an_error_names_file_line_field_and_expectation) {
    const auto top = header("n\tp", "count\tport");
    EXPECT_THAT(failure_of(top + "1\t2\nx\t2\n"),
                HasSubstr("log:10: field n: \"x\": expected a count, a whole number"));
    EXPECT_THAT(failure_of(top + "1\t65536\n"),
                HasSubstr("log:9: field p: \"65536\": expected a port number"));
    EXPECT_THAT(failure_of(top + "1\n"),
                HasSubstr("expected 2 fields, as #fields lists them, found 1"));
    EXPECT_THAT(failure_of(top + "1\t2\t3\n"),
                HasSubstr("expected 2 fields, as #fields lists them, found more"));
    EXPECT_THAT(failure_of("#fields\ta\n1\n"),
                HasSubstr("log:2: expected the headers #fields and #types"));
    EXPECT_THAT(failure_of("#fields\ta\tb\n#types\tcount\n"), HasSubstr("expected 2 types"));
    EXPECT_THAT(failure_of("#fields\ta\n#types\ttable[count]\n"),
                HasSubstr("unknown type table[count]"));
    EXPECT_THAT(failure_of("#fields\ta\ta\n"), HasSubstr("found a twice"));
    EXPECT_THAT(failure_of("#separator \\x0909\n"), HasSubstr("expected one byte"));
    EXPECT_THAT(failure_of("#separator ab\n"), HasSubstr("expected one byte"));
    EXPECT_THAT(failure_of("hello\n"), HasSubstr("log:1: expected a Zeek log"));
    EXPECT_THAT(failure_of("{\"a\":1}\n{\"a\":\n"),
                HasSubstr("log:2: expected a JSON object; it is malformed at byte"));
    EXPECT_THAT(failure_of("{}\n[1]\n"), HasSubstr("log:2: expected a JSON object"));
    EXPECT_THAT(failure_of("{}\n7\n"), HasSubstr("log:2: expected a JSON object"));
    EXPECT_THAT(failure_of("{\"a\":1,\"a\":2}\n"), HasSubstr("found a twice"));
    EXPECT_THAT(failure_of("{\"a\":[[1]]}\n"),
                HasSubstr("field a: expected no list inside of a list"));
    EXPECT_THAT(failure_of("{\"a\":[{}]}\n"),
                HasSubstr("field a: expected no object inside of a list"));
    std::string deep;
    for (int i = 0; i < 100'000; ++i) {
        deep += "{\"a\":";
    }
    EXPECT_THAT(failure_of(deep), HasSubstr("nested at most 8 deep"));
    EXPECT_THAT(failure_of('#' + std::string((16 << 20) + 1, 'x')),
                HasSubstr("a line of at most 16 MiB"));
}

TEST_F(zeek_log_reader_test, a_file_that_cannot_be_opened_is_an_error) {
    EXPECT_EQ(read("/nonexistent/dns.log").failure, ec::cannot_open_file);
    EXPECT_THAT(read("/nonexistent/dns.log").failure.message(),
                HasSubstr("/nonexistent/dns.log: No such file"));
    EXPECT_EQ(read("/").failure, ec::cannot_open_file);
}

TEST_F(zeek_log_reader_test, an_empty_log_has_no_records_and_no_error) {
    for (const auto* text : {"", "\n", "#close\n"}) {
        const auto nothing = read_text(text);
        EXPECT_TRUE(nothing.records.empty());
        EXPECT_FALSE(nothing.failure) << to_string(nothing.failure);
    }
    EXPECT_EQ(read_text("{\"a\":1}").records.size(), 1u) << "the last line may lack its end";
}

TEST_F(zeek_log_reader_test, gzip_reads_like_plain_and_a_truncated_or_damaged_one_is_an_error) {
    std::string text = header("n\ts", "count\tstring");
    constexpr unsigned count = 20'000;
    for (unsigned i = 0; i < count; ++i) {
        text += std::to_string(i) + '\t' + std::to_string(i * 2654435761U) + '\n';
    }
    const auto path = write_gzip("big.log.gz", text);
    EXPECT_EQ(read(path).records.size(), count);

    std::ifstream file{path, std::ios::binary};
    const std::string bytes{std::istreambuf_iterator<char>{file}, {}};
    EXPECT_EQ(read(write("twice.log.gz", bytes + bytes)).records.size(), 2 * count)
        << "members one after another";
    for (const auto size :
         {bytes.size() - 1, bytes.size() - 8, bytes.size() / 2, std::size_t{12}, std::size_t{2}}) {
        const auto cut = read(write("cut.log.gz", bytes.substr(0, size)));
        EXPECT_EQ(cut.failure, ec::invalid_data) << size;
        EXPECT_THAT(cut.failure.message(), HasSubstr("gzip stream is cut off")) << size;
        if (size < bytes.size() / 2) {
            continue;
        }
        // What came before the cut counts.
        EXPECT_GT(cut.records.size(), count / 3) << size;
        const auto line = cut.records.size() + header_lines + 1;
        EXPECT_THAT(cut.failure.message(), HasSubstr(':' + std::to_string(line) + ':')) << size;
    }
    auto damaged = bytes;
    damaged[bytes.size() / 2] = static_cast<char>(~damaged[bytes.size() / 2]);
    EXPECT_EQ(read(write("damaged.log.gz", damaged)).failure, ec::invalid_data);
    const auto more = read(write("more.log.gz", bytes + "no gzip"));
    EXPECT_EQ(more.records.size(), count) << "as gzip does, it ignores what follows";
    EXPECT_FALSE(more.failure);
}

TEST_F(zeek_log_reader_test, a_record_in_a_pipe_is_read_as_soon_as_its_line_is_there) {
    const auto path = (folder_ / "live.log").string();
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    const int stop = ::eventfd(0, EFD_CLOEXEC);
    auto reader = zeek_log_reader::open(path, stop);
    ASSERT_TRUE(reader);
    EXPECT_TRUE(reader->would_wait());
    const int pipe = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    const auto send = [pipe](std::string_view text) {
        ASSERT_EQ(::write(pipe, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    };
    log_record record;
    send(header("n", "count") + "1\n2");
    ASSERT_TRUE(reader->next(record).value());
    EXPECT_EQ(value(record, "n"), data{1u});
    EXPECT_TRUE(reader->would_wait()) << "half a line is none";
    send("3\n4\n");
    EXPECT_FALSE(reader->would_wait());
    ASSERT_TRUE(reader->next(record).value());
    EXPECT_EQ(value(record, "n"), data{23u});
    EXPECT_FALSE(reader->would_wait());
    ASSERT_TRUE(reader->next(record).value());
    ::eventfd_write(stop, 1);
    EXPECT_EQ(reader->next(record).error(), ec::cancelled) << "nobody waits longer than wanted";
    ::close(pipe);
    ::close(stop);
}

TEST_F(zeek_log_reader_test, packed_records_in_a_pipe_are_read_as_they_come) {
    const auto path = (folder_ / "live.log.gz").string();
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    auto reader = zeek_log_reader::open(path);
    ASSERT_TRUE(reader);
    auto* packed = ::gzopen(path.c_str(), "wb");
    log_record record;
    for (const auto& text : {header("n", "count") + "1\n", std::string{"2\n"}}) {
        ASSERT_GT(::gzwrite(packed, text.data(), static_cast<unsigned>(text.size())), 0);
        ASSERT_EQ(::gzflush(packed, Z_SYNC_FLUSH), Z_OK);
        ASSERT_TRUE(reader->next(record).value());
        EXPECT_TRUE(reader->would_wait());
    }
    EXPECT_EQ(value(record, "n"), data{2u});
    ::gzclose(packed);
    EXPECT_FALSE(reader->next(record).value());
}

TEST_F(zeek_log_reader_test, progress_grows_up_to_the_size_of_the_file) {
    std::string text = header("n", "count");
    for (int i = 0; i < 200'000; ++i) {
        text += std::to_string(i) + '\n';
    }
    for (const auto& path : {write("plain.log", text), write_gzip("packed.log.gz", text)}) {
        auto reader = zeek_log_reader::open(path);
        ASSERT_TRUE(reader);
        EXPECT_EQ(reader->bytes_total(), std::filesystem::file_size(path));
        log_record record;
        std::uint64_t before = 0;
        std::size_t steps = 0;
        while (reader->next(record).value_or(false)) {
            const auto now = reader->bytes_consumed();
            ASSERT_GE(now, before);
            steps += now > before ? 1 : 0;
            before = now;
        }
        EXPECT_GE(steps, 3u);
        EXPECT_EQ(before, reader->bytes_total());
    }
}

TEST_F(zeek_log_reader_test, a_record_as_a_value_is_a_table_by_field_name) {
    const log_record record{"dns", {{"b", 1u}, {"a", nil}}};
    EXPECT_EQ(to_data(record), (data{table{{"a", nil}, {"b", 1u}}}));
}

TEST(parse_seconds, is_exact_to_the_nanosecond) {
    const std::vector<std::pair<std::string, std::int64_t>> cases{
        {"0", 0},
        {"-0.000001", -1000},
        {"1521911720.865716", 1521911720865716000},
        {"1521911720.123456789", 1521911720123456789},
        {"0.1234567894", 123456789},
        {"0.1234567895", 123456790},
        {"9223372035.5", 9223372035500000000},
        {"1.9999999999", 2000000000},
    };
    for (const auto& [text, ns] : cases) {
        ASSERT_TRUE(parse_seconds(text)) << text;
        EXPECT_EQ(parse_seconds(text)->count(), ns) << text;
    }
    for (const auto* text :
         {"", "-", ".5", "1.", "1e3", "1.2.3", "+1", " 1", "9223372036", "--1", "nan"}) {
        EXPECT_FALSE(parse_seconds(text)) << text;
    }
}

/// The folder of real logs, or nothing.
std::filesystem::path real_logs() {
    const auto* named = std::getenv("BZMQ_ZEEK_LOGS");
    const std::filesystem::path folder =
        named != nullptr ? std::string{named} : source_dir() + "/../shared/data/zeek-logs";
    return std::filesystem::exists(folder / "dns.log.gz") ? folder : std::filesystem::path{};
}

class real_zeek_logs : public zeek_log_reader_test {
  protected:
    void SetUp() override {
        zeek_log_reader_test::SetUp();
        folder_ = real_logs();
        if (folder_.empty()) {
            GTEST_SKIP() << "no real Zeek logs: BZMQ_ZEEK_LOGS names no folder with dns.log.gz";
        }
    }
    result read_all(const std::string& name, std::size_t count) {
        auto out = read(folder_ / name);
        EXPECT_FALSE(out.failure) << to_string(out.failure);
        EXPECT_EQ(out.records.size(), count) << name;
        return out;
    }

  private:
    std::filesystem::path folder_;
};

TEST_F(real_zeek_logs, every_record_is_read) {
    const auto dns = read_all("dns.log.gz", 53'615);
    ASSERT_FALSE(dns.records.empty());
    const auto& first = dns.records.front();
    EXPECT_EQ(first.path, "dns");
    EXPECT_EQ(value(first, "ts"), data{at(1521911720, 865716000)});
    EXPECT_EQ(value(first, "id.resp_p"), (data{port{53, port::protocol::udp}}));
    EXPECT_EQ(value(first, "rtt"), data{870us});
    EXPECT_EQ(value(first, "answers"), (data{vector{"ise.wrccdc.cpp.edu", "134.71.3.16"}}));
    EXPECT_EQ(value(first, "TTLs"), (data{vector{2230s, 41830s}}));
    read_all("known_services.log.gz", 1'579);
    read_all("software.log.gz", 376);
}

/// JSON leaves out what is unset.
std::map<std::string, data> set_fields(const log_record& record) {
    std::map<std::string, data> out;
    for (const auto& [name, found] : record.fields) {
        if (!is<none>(found)) {
            out.emplace(name, found);
        }
    }
    return out;
}

TEST_F(real_zeek_logs, both_forms_of_a_log_agree) {
    for (const auto& [name, count] : {std::pair{"notice", 207}, std::pair{"weird", 24'202}}) {
        const auto tsv = read_all(name + std::string{".log.gz"}, static_cast<std::size_t>(count));
        const auto json = read_all(name + std::string{".json.gz"}, static_cast<std::size_t>(count));
        ASSERT_EQ(tsv.records.size(), json.records.size());
        for (std::size_t i = 0; i < tsv.records.size(); ++i) {
            ASSERT_EQ(tsv.records[i].path, json.records[i].path);
            ASSERT_EQ(set_fields(tsv.records[i]), set_fields(json.records[i])) << name << ' ' << i;
        }
    }
}

}  // namespace
}  // namespace bzmq::cli
