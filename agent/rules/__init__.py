"""Rules (智能化预警): what is known of the school goes in, what begins and ceases to hold comes out. Pure.

`engine` keeps the rules and the index by which a fact finds those that it may change; `conditions` are the parts of a
rule; `facts` is what they are judged by; `saved` is what outlives a restart; `replay` runs a journal through them.
"""
