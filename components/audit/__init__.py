"""Looks at the data itself: do inputs fit their labels, do rows stand in two splits, does a column leak?"""
